"""What tests share. So many files in one folder because each is one fake or one helper, and found by its name."""
