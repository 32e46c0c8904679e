"""The ValidatingAdmissionPolicies that guard AOS: the single source of what the chart installs and the operator checks."""
