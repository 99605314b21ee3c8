"""Makes the project's own documents from the code. Users do not install it."""
