import torch

from activa.module import CellModel, Condition, categories, extend, frozen_but_new
from activa.settings import Settings

SETTINGS = Settings(n_hidden=(8,), n_latent=3)


def make_models() -> tuple[CellModel, CellModel]:
    torch.manual_seed(0)
    reference = CellModel(12, 2, 2, 2, [2], 1, settings=SETTINGS)
    with torch.no_grad():
        for p in reference.parameters():
            p.add_(0.3 * torch.randn_like(p))
    reference.prior.batch_logits.normal_()
    model = CellModel(12, 3, 2, 2, [4], 1, settings=SETTINGS)
    extend(model, reference)
    return reference.eval(), model.eval()


def outputs(model: CellModel, condition: Condition) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(9, (6, 12), generator=generator).float()
    with torch.no_grad():
        z = model.sample_latent(condition, generator)
        log_library = model.sample_log_library(z, condition, generator)
        return [*model.encode(x, condition), z, log_library, model.decode(z, log_library, condition).mean]


KNOWN = Condition(*(torch.tensor([[0], [1]] * 3) for _ in range(3)), torch.linspace(-1, 1, 6)[:, None])
NEW = KNOWN._replace(batch_index=torch.full((6, 1), 2))


def test_known_categories_are_computed_as_before():
    reference, model = make_models()
    for before, after in zip(outputs(reference, KNOWN), outputs(model, KNOWN), strict=True):
        torch.testing.assert_close(after, before)


def test_training_changes_the_new_categories_only():
    reference, model = make_models()
    known, new = outputs(model, KNOWN), outputs(model, NEW)
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with frozen_but_new(model, categories(reference)):
        for _ in range(3):
            optimizer.zero_grad()
            x = torch.poisson(torch.full((6, 12), 3.0))
            mu, log_var = model.encode(x, NEW)
            (mu.sum() + log_var.sum() + model.decode(mu, torch.zeros(6, 1), NEW).mean.square().sum()).backward()
            optimizer.step()
    model.eval()
    for before, after in zip(known, outputs(model, KNOWN), strict=True):
        assert torch.equal(after, before)
    assert not torch.allclose(outputs(model, NEW)[0], new[0])
    assert all(p.requires_grad for p in model.parameters())
