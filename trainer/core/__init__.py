"""What every trainer shares: data, augmentation, run folder, statistics, page and card."""
