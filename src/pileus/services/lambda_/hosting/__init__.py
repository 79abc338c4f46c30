"""How each runtime's template is made, and what runs inside it."""
