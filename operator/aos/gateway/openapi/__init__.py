"""REST systems that an OpenAPI document describes, as what stands behind Tools."""
