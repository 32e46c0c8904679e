"""The helper beside a team's own image: the image's way to the gateway, and the only part of the pod that has its token.

It is started in every such pod, so it imports little. It decides nothing: the gateway does.
"""
