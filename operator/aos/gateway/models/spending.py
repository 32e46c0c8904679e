"""What a request to a model reserves, and what it took in the end. No I/O."""

from dataclasses import dataclass
from typing import Final

from aos.gateway.caller import Caller
from aos.gateway.control.asked import Tokens
from aos.gateway.control.charges import budgets_of_runs, name_of_run_budget
from aos.gateway.models.answer import MOST_TOKENS, TokenUsage
from aos.gateway.models.estimate import SeenOutput
from aos.gateway.refusal import RefusalCode, Refused
from aos.model.model import Model, Prices
from aos.model.task import Task
from aos.policy.decision import Effect
from aos.policy.obligations import Obligations
from aos.policy.prices import cost_micro_usd, prices_of

DEFAULT_MAX_OUTPUT_TOKENS: Final = 4_096
"""Put on requests under a budget of tokens or money where neither the agent's spec nor the request bounds its output."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """The most that a request may take.

    Attributes:
        prompt_tokens: at most.
        output_tokens: at most; None where nothing bounds them.
        prices: of the tokens; None where nobody knows and nothing counts money.
        is_counted: whether a budget counts tokens or money.
    """

    prompt_tokens: int
    output_tokens: int | None
    prices: Prices | None
    is_counted: bool = False

    @property
    def tokens(self) -> int:
        """Tokens to reserve; what no model has is as good as the most that can be counted."""
        return min(self.prompt_tokens + (self.output_tokens or 0), MOST_TOKENS)

    @property
    def cost_micro_usd(self) -> int:
        """Money to reserve."""
        return self.cost_of(TokenUsage(self.prompt_tokens, self.output_tokens or 0)) or 0

    def cost_of(self, usage: TokenUsage) -> int | None:
        """Return what ``usage`` costs; None where prices are not known."""
        if self.prices is None:
            return None
        return cost_micro_usd(self.prices, usage.prompt, usage.completion)


def obligations_of(caller: Caller) -> Obligations:
    """Return what a request of the caller is held to: by its own policies and by those of the agents it acts for."""
    own = caller.policy.model_obligations()
    if not caller.ancestors:
        return own
    return caller.policy.narrowed((own, *(policy.model_obligations() for policy in caller.ancestors)))


def counts_tokens(obligations: Obligations, task: Task) -> bool:
    """Whether a budget of a policy, or of the Task's run, counts tokens or money, so that the output must have a bound."""
    return any(bound.budget.tokens or bound.budget.micro_usd for bound in obligations.budgets) or any(
        budget.tokens or budget.micro_usd for budget in budgets_of_runs(task)
    )


def reserve(
    model: Model, obligations: Obligations, task: Task, prompt_tokens: int, output_tokens: int | None
) -> Reservation | Refused:
    """Return what a request reserves; a refusal where money is counted and nobody knows the price."""
    prices = prices_of(model.spec)
    counted = [
        *(str(bound.reference) for bound in obligations.budgets if bound.budget.micro_usd),
        *(name_of_run_budget(task, budget) for budget in budgets_of_runs(task) if budget.micro_usd),
    ]
    if prices is None and counted:
        name = model.metadata.name
        return Refused(
            Effect.DENY,
            RefusalCode.PRICE_UNKNOWN,
            f"{counted[0]} counts microUSD, and nobody knows what {model.spec.model} costs; spec.prices of Model {name} can say it",
            note=f"nobody knows what Model {name} costs, and {counted[0]} counts microUSD: set spec.prices",
        )
    return Reservation(prompt_tokens, output_tokens, prices, counts_tokens(obligations, task))


def settled(reservation: Reservation, usage: TokenUsage | None, seen: SeenOutput) -> TokenUsage | None:
    """Return what a request is charged; None where what was reserved stays spent.

    What came of the output counts where the model counts less than that takes at least. Where the model did not count, as of an
    output that was cut, it counts if it is likely more than what was reserved.

    Args:
        reservation: of the request.
        usage: what the model counted of the whole output.
        seen: what came of the output.
    """
    if usage is not None:
        return TokenUsage(usage.prompt, max(usage.completion, seen.fewest_tokens))
    if reservation.output_tokens is None or seen.likely_tokens <= reservation.output_tokens:
        return None
    return TokenUsage(reservation.prompt_tokens, seen.likely_tokens)


def tokens_of(usage: TokenUsage | None) -> Tokens | None:
    """Return what the model counted, for the record; None where it did not."""
    return None if usage is None else Tokens(usage.prompt, usage.completion)
