"""What files say around their numbers, checked against what the user asks for: one module for each convention."""
