"""What a user writes down: scenes, positions, terminals, housings, defects. Standard library only; lowest floor."""
