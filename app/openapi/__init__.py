"""The description of the HTTP interface (OpenAPI 3.1), put together from what each endpoint says of itself."""
