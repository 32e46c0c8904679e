"""What AOS uses of Kubernetes' own client library: how it reads credentials.

Its packages load other clients, of which each process of AOS would have a third of its start and 18 MiB.
"""

from aos.kube.waiting import waiting

with waiting("kubernetes", "kubernetes.aio"):
    import kubernetes.aio.config as config  # noqa: PLR0402 - to ask the package for the name would run it
    from kubernetes.aio.client.configuration import Configuration
    from kubernetes.aio.client.rest import RESTClientObject

__all__ = ["Configuration", "RESTClientObject", "config"]
