"""What students learn from teachers: losses, and how much each teacher counts."""
