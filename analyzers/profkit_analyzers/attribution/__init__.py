"""Where the seconds of one profile went: to one category, owner and place each, by one rule."""
