"""What an answer sheet shows: accuracy, bias, ability, calibration, stability and gaps, with intervals by cluster."""
