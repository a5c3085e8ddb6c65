"""What a person meets who is new here, with data of their own: from the first look at it to the use of the result."""
