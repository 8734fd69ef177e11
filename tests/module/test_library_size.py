import pytest
import torch

from activa.module import LibrarySize


def test_library_sizes_follow_the_state():
    torch.manual_seed(0)
    z = torch.randn(2_000, 1)
    log_library = 7 + 0.5 * z.squeeze(-1) + 0.1 * torch.randn(2_000)
    library = LibrarySize(1)
    library.standardize(log_library)
    optimizer = torch.optim.Adam(library.parameters(), lr=0.01)
    for _ in range(300):
        optimizer.zero_grad()
        library.nll(z, log_library).mean().backward()
        optimizer.step()
    drawn = library.sample(z)
    assert drawn.mean().item() == pytest.approx(7, abs=0.05)
    assert torch.corrcoef(torch.stack([drawn, z.squeeze(-1)]))[0, 1] > 0.95
    assert (drawn - 7 - 0.5 * z.squeeze(-1)).std().item() == pytest.approx(0.1, abs=0.05)


def test_samples_are_those_of_the_distribution():
    torch.manual_seed(0)
    library, h = LibrarySize(4), torch.randn(300, 4)
    library.standardize(torch.randn(50) + 8)
    torch.manual_seed(3)
    expected = library.distribution(h).sample() * library.scale + library.loc
    assert torch.equal(library.sample(h, torch.Generator().manual_seed(3)), expected)
