from aos.agent.main import ExitCode, run_agent
from tests.unit.agent.conftest import World


async def test_a_task_runs_from_its_assignment_to_its_posted_output(world: World) -> None:
    assert await run_agent(world.settings) == ExitCode.REPORTED

    assert world.gateway.calls == [
        "crm.search_contacts",
        "crm.get_contact",
        "crm.export_contacts",
        "crm.update_contact",
    ]
    [result] = world.gateway.results
    assert result["output"] == {
        "summary": "Mira Solberg, VP Supply Chain at Halden Robotics (Robotics, 120 people).",
        "score": 0.41,
        "contactId": "emea-0001",
        "notes": ["crm.export_contacts denied: PolicyDenied: no rule allows crm.export_contacts"],
    }
    assert world.database.contact("emea-0001").stage == "qualified"
