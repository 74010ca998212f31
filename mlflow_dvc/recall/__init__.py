"""From runs back to code and data: what people ask for, answered or refused clearly."""
