import asyncio
import ssl

from tests.cluster.gateway.world import LOOPBACK, World, eventually


async def served_certificate(world: World) -> str:
    """The certificate that a new connection is shown."""
    context = ssl.create_default_context(cadata=world.authority.certificate.decode())
    _, writer = await asyncio.open_connection(LOOPBACK, world.ports.agents.port, ssl=context)
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    await writer.wait_closed()
    return ssl.DER_cert_to_PEM_cert(shown)


async def test_a_renewed_certificate_is_served_without_a_restart(world: World) -> None:
    renewed = world.authority.issue()
    before = await served_certificate(world)
    assert before != renewed.certificate.decode()
    await world.keep_certificate(renewed)

    async def is_renewed() -> bool:
        return await served_certificate(world) == renewed.certificate.decode()

    await eventually(is_renewed)


async def test_a_broken_certificate_leaves_the_last_one_in_use(world: World) -> None:
    before = await served_certificate(world)
    one, other = world.authority.issue(), world.authority.issue()
    await world.keep_certificate(type(one)(one.certificate, other.key))
    await world.agent()
    assert await served_certificate(world) == before
