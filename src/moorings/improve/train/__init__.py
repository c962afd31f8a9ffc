"""Trainers: supervised fine-tuning and DPO with adapters or full weights, by an own loop or by TRL."""
