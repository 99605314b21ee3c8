"""What is made of the code for this project alone: its documents. No part of what users install."""
