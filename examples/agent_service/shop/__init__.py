"""The support agent of a furniture shop: the application that profkit watches in this demo."""
