"""The module that joins encoder, generator, classifier, labeled prior and library-size model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from scvi import REGISTRY_KEYS
from scvi.module.base import BaseMinifiedModeModuleClass, LossOutput, auto_move_data
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

from activa.module._cells import COUNT_LIKELIHOODS, CellLikelihood, Dispersion, GeneLikelihood
from activa.module._design import CellDesign, ComponentsStart
from activa.module._library import LibrarySize
from activa.module._likelihood import CellDistribution, log_likelihood
from activa.module._networks import Classifier, Encoder, Generator, Norm
from activa.module._prior import LabeledPrior, StandardPrior
from activa.module._protein import ProteinDistribution, ProteinLikelihood, ProteinModel
from activa.module._sampling import sample_cells, sample_cells_with_gradient
from activa.scvi_private import MODULE_KEYS

Prior = Literal["labeled", "standard"]
GeneratorForm = Literal["curved", "linear", "deep"]
LabelInput = Literal["inferred", "given", "none"]


class ACTIVAModule(BaseMinifiedModeModuleClass):
    """Introspective variational autoencoder of counts, with a classifier, a labeled prior and a library-size model.

    counts, type, batch -> :class:`Encoder` q(z | x, b) -> z -> :class:`Generator` -> p(x | z, l, y, b). The encoder
    reads generated cells back, and the KL divergence of what it makes of them from p(z | y) is the critic's score.
    Generation walks the second half: y -> p(z | y) -> p(l | z, y, b) -> generator -> counts.

    Parameters
    ----------
    n_input
        Genes.
    n_batch, n_labels
        Categories of batch and label; the unlabeled category, where there is one, is the last label.
    n_types
        Labels that are types, that is all but the unlabeled category.
    n_cats_per_cov, n_continuous_cov
        Categories of each categorical covariate, and how many continuous covariates there are.
    n_hidden
        Widths of the encoder's hidden layers; a deep generator has them in reverse.
    n_latent
        Latent dimensions.
    n_hidden_classifier
        Widths of the classifier's hidden layers.
    gene_likelihood
        ``"nb"``, ``"nb-outlier"`` (:class:`~activa.module.OutlierNegativeBinomial`), ``"zinb"`` or ``"poisson"`` for
        counts, ``"normal"`` for non-negative real values, ``"mse"`` for such with the paper's squared error.
    generator
        ``"linear"``: log expression is linear in the latent, with an offset for each type, and the encoder has a linear
        part beside its hidden layers; ``"curved"``: the same with a small hidden layer beside the linear part;
        ``"deep"``: hidden layers, the paper's.
    dispersion
        What the dispersion (nb, zinb) or the standard deviation (normal) differs by.
    prior
        ``"labeled"``: p(z | y), learnt; ``"standard"``: N(0, I), the paper's.
    n_prior_components
        Gaussians a type in the labeled prior.
    label_input
        What the generator is given beside the latent: probabilities of the types that it infers from the latent, the
        type itself, or nothing.
    norm, dropout_rate, input_dropout_rate
        Normalization of the networks' hidden layers, dropout of the encoder's, and share of genes hidden from it in a
        training step.
    use_size_factor_key
        Whether l is a registered size factor instead of the cell's total count.
    loading_scale, offset_scale
        Standard deviations of the priors of a linear generator's loadings and offsets.
    n_proteins, protein_likelihood
        Surface proteins beside the genes, and their likelihood (:class:`~activa.module.ProteinModel`).
    """

    margin: Tensor
    label_means: Tensor

    def __init__(
        self,
        n_input: int,
        n_batch: int = 1,
        n_labels: int = 1,
        n_types: int = 1,
        n_cats_per_cov: Sequence[int] | None = None,
        n_continuous_cov: int = 0,
        *,
        n_hidden: Sequence[int] = (128,),
        n_latent: int = 16,
        n_hidden_classifier: Sequence[int] = (100, 50, 25),
        gene_likelihood: GeneLikelihood = "nb-outlier",
        generator: GeneratorForm = "curved",
        dispersion: Dispersion = "gene",
        prior: Prior = "labeled",
        n_prior_components: int = 16,
        label_input: LabelInput = "inferred",
        norm: Norm = "layer",
        dropout_rate: float = 0.1,
        input_dropout_rate: float = 0.35,
        use_size_factor_key: bool = False,
        loading_scale: float = 0.05,
        offset_scale: float = 0.3,
        n_proteins: int = 0,
        protein_likelihood: ProteinLikelihood = "normal",
    ):
        super().__init__()
        self.n_input, self.n_latent, self.n_prior_components = n_input, n_latent, n_prior_components
        self.n_batch, self.n_labels, self.n_types = n_batch, n_labels, n_types
        self.n_cats_per_cov = tuple(n_cats_per_cov or ())
        self.gene_likelihood, self.dispersion = gene_likelihood, dispersion
        self.is_count = gene_likelihood in COUNT_LIKELIHOODS
        self.is_linear = generator != "deep"  # but for the curve of "curved"
        self.label_input: LabelInput = label_input if n_labels > 1 else "none"
        # whether latents or generator know the type; else the classifier's filter has to give it
        self.knows_types = n_labels == 1 or prior == "labeled" or label_input == "given"
        self.use_size_factor_key = use_size_factor_key
        self.use_observed_lib_size = True  # asked for by RNASeqMixin

        # one batch needs no input: a constant column would only repeat the bias
        n_covariates = (n_batch if n_batch > 1 else 0) + sum(self.n_cats_per_cov) + n_continuous_cov
        n_condition = 0 if self.label_input == "none" else n_labels
        self.encoder = Encoder(
            n_input + n_proteins,
            n_covariates + self.is_linear,
            n_latent,
            n_hidden,
            norm,
            dropout_rate,
            input_dropout_rate,
            self.is_linear,
        )
        activation: Literal["softmax", "softplus", "relu"] = "softmax"
        if not self.is_count:
            activation = "relu"
        elif use_size_factor_key:
            activation = "softplus"
        self.generator = Generator(
            n_latent,
            n_covariates + n_condition,
            n_input,
            () if self.is_linear else tuple(n_hidden)[::-1],
            norm,
            activation,
            zero_inflated=gene_likelihood == "zinb",
            curved=generator == "curved",
            loading_scale=loading_scale,
            offset_scale=offset_scale,
        )
        # logits of the types, out of the latent
        self.gate = nn.Linear(n_latent, n_labels) if self.label_input == "inferred" else None
        self.classifier = Classifier(n_input, n_types, n_hidden_classifier)
        self.prior: LabeledPrior | StandardPrior
        if prior == "labeled":
            self.prior = LabeledPrior(n_labels, n_latent, n_prior_components, n_batch)
        else:
            self.prior = StandardPrior(n_latent)
        self.library = LibrarySize(n_latent + n_covariates + n_labels)
        self.likelihood = CellLikelihood(n_input, n_batch, n_labels, gene_likelihood, dispersion)
        # A linear generator's loadings read latents less their type's mean: an offset is the type's own expression, and
        # does not move as the loadings do.
        self.register_buffer("label_means", torch.zeros(n_labels, n_latent))
        self.register_buffer("margin", torch.tensor(math.inf))  # until it is set
        self.proteins: ProteinModel | None = None
        if n_proteins:
            # beside the latent the means are given the depth, and the totals the depth and the type
            n_joined = 1 + n_covariates + n_condition
            n_library = 1 + n_latent + n_covariates + n_labels
            self.proteins = ProteinModel(n_proteins, n_latent, n_joined, n_library, protein_likelihood)

    def start_from(self, gene_share: Tensor, inverse_dispersion: Tensor, log_library: Tensor) -> None:
        """Start from the cells' mean expression and dispersion, and standardize library sizes by theirs.

        Parameters
        ----------
        gene_share
            Each gene's share of all counts, or its mean under the normal likelihood, ``(n_genes,)``.
        inverse_dispersion
            Estimate of theta, or the standard deviation under the normal likelihood, ``(n_genes,)``.
        log_library
            Log library size of each cell, ``(n_cells,)``.
        """
        self.generator.start_at(gene_share)
        self.likelihood.start_from(inverse_dispersion)
        self.library.standardize(log_library)

    def start_proteins(self, proteins: np.ndarray) -> np.ndarray:
        """Start from the cells' proteins, ``(n_cells, n_proteins)``; gives them as the encoder reads them."""
        assert self.proteins is not None
        values = torch.as_tensor(proteins).float()
        self.proteins.start_from(values)
        return self.proteins.standardized(values).numpy()

    def start_from_components(self, start: ComponentsStart) -> None:
        """Start from principal components: encoder, a linear generator, and a labeled prior.

        Parameters
        ----------
        start
            What :func:`activa.model._components.principal_components` found.
        """
        self.encoder.start_from(start.center, start.projection)
        if isinstance(self.prior, LabeledPrior):
            self.prior.start_from(start.prior_loc, start.prior_scale, start.prior_weight)
        if self.gate is not None:
            with torch.no_grad():
                self.gate.weight.copy_(start.gate_weight)
                self.gate.bias.copy_(start.gate_bias)
        self.label_means.copy_(start.label_means)
        n = self.n_input
        self.generator.start_from(
            start.loadings[:n],
            None if start.offsets is None else start.offsets[:, :n],
            start.n_cells,
            start.batch_offsets if self.n_batch > 1 else None,
        )
        if self.proteins is not None:
            self.proteins.start_from_components(
                start.loadings[n:], None if start.offsets is None else start.offsets[:, n:], start.n_cells
            )

    # the parts, each a few lines

    def _covariates(self, design: CellDesign) -> Tensor:
        """Batch and covariates as columns, ``(n_cells, n_covariates)``."""
        columns = []
        if self.n_batch > 1:
            columns.append(one_hot(design.batch_index.squeeze(-1).long(), self.n_batch).float())
        if design.cat_covs is not None:
            for codes, n in zip(design.cat_covs.T, self.n_cats_per_cov, strict=True):
                columns.append(one_hot(codes.long(), n).float())
        if design.cont_covs is not None:
            columns.append(design.cont_covs.float())
        if not columns:
            return torch.empty(design.y.shape[0], 0, device=design.y.device)
        return torch.cat(columns, dim=-1)

    def _one_hot_labels(self, design: CellDesign) -> Tensor:
        return one_hot(design.y.squeeze(-1).long(), self.n_labels).float()

    def _library_input(self, z: Tensor, design: CellDesign) -> Tensor:
        return torch.cat([z, self._covariates(design), self._one_hot_labels(design)], dim=-1)

    def encode(self, x: Tensor, design: CellDesign, proteins: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(z | x, b), each ``(n_cells, n_latent)``; of q(z | x, proteins, b) where registered."""
        covariates = self._covariates(design)
        if self.is_linear:
            # log-normalized cells do not tell their depth, which how certain a latent is depends on
            depth = self.library.scaled(x.sum(-1, keepdim=True).clamp(min=1e-8).log())
            covariates = torch.cat([covariates, depth], dim=-1)
            read = self._log_normalize(x)
        else:
            read = torch.log1p(x) if self.is_count else x
        if self.proteins is not None:
            assert proteins is not None
            read = torch.cat([read, self.proteins.standardized(proteins)], dim=-1)
        return self.encoder(read, covariates)

    def _log_normalize(self, x: Tensor) -> Tensor:
        """log1p of counts scaled to 10,000 a cell; real values as they are."""
        return torch.log1p(x / x.sum(-1, keepdim=True).clamp(min=1e-8) * 1e4) if self.is_count else x

    def decode(self, z: Tensor, log_library: Tensor, design: CellDesign) -> CellDistribution:
        """p(x | z, l, y, b) for latents ``(..., n_cells, n_latent)`` and log library sizes ``(..., n_cells, 1)``."""
        scale, dropout_logits = self.generator(torch.cat(self._generator_input(z, design), dim=-1))
        return self.likelihood(scale, dropout_logits, log_library, design)

    def _generator_input(self, z: Tensor, design: CellDesign) -> list[Tensor]:
        """Latent, covariates and types, each ``(..., n_cells, n)``."""
        covariates = self._covariates(design).expand(*z.shape[:-1], -1)
        if self.label_input == "none":
            return [z, covariates]
        with torch.autocast(z.device.type, enabled=False):
            types = self._one_hot_labels(design) if self.gate is None else self.gate(z).softmax(-1)
            means = types @ self.label_means
        return [z - means, covariates, types.expand(*z.shape[:-1], -1)]

    def decode_proteins(
        self, z: Tensor, log_library: Tensor, design: CellDesign, proteins: Tensor | None = None
    ) -> ProteinDistribution:
        """p(proteins | z, l, y, b), for arguments as of :meth:`decode`.

        With counts it is given their totals too: those of ``proteins``, ``(n_cells, n_proteins)``, or where these are
        None, drawn ones.
        """
        assert self.proteins is not None
        depth = self.library.scaled(log_library)
        latent, *joined = self._generator_input(z, design)
        log_total = None
        if self.proteins.library is not None:
            if proteins is None:
                log_total = self.proteins.library.sample(self._total_input(z, log_library, design)).unsqueeze(-1)
            else:
                log_total = self.proteins.log_total(proteins)
        return self.proteins.distribution(torch.cat([latent, depth, *joined], dim=-1), log_total)

    @auto_move_data
    def classify(self, x: Tensor) -> Tensor:
        """The classifier's logits ``(n_cells, n_types)`` for cells ``(n_cells, n_genes)`` of counts."""
        return self.classifier(self._log_normalize(x))

    # what scvi-tools calls

    def _get_inference_input(self, tensors: dict[str, Tensor], full_forward_pass: bool = False) -> dict:
        if self.minified_data_type is not None and not full_forward_pass:
            return {
                MODULE_KEYS.QZM_KEY: tensors[REGISTRY_KEYS.LATENT_QZM_KEY],
                MODULE_KEYS.QZV_KEY: tensors[REGISTRY_KEYS.LATENT_QZV_KEY],
                REGISTRY_KEYS.OBSERVED_LIB_SIZE: tensors[REGISTRY_KEYS.OBSERVED_LIB_SIZE],
            }
        return {
            MODULE_KEYS.X_KEY: tensors[REGISTRY_KEYS.X_KEY],
            MODULE_KEYS.BATCH_INDEX_KEY: tensors[REGISTRY_KEYS.BATCH_KEY],
            MODULE_KEYS.Y_KEY: tensors[REGISTRY_KEYS.LABELS_KEY],
            MODULE_KEYS.CONT_COVS_KEY: tensors.get(REGISTRY_KEYS.CONT_COVS_KEY),
            MODULE_KEYS.CAT_COVS_KEY: tensors.get(REGISTRY_KEYS.CAT_COVS_KEY),
            "proteins": tensors.get(REGISTRY_KEYS.PROTEIN_EXP_KEY),
        }

    def _get_generative_input(self, tensors: dict[str, Tensor], inference_outputs: dict) -> dict:
        z, library = inference_outputs[MODULE_KEYS.Z_KEY], inference_outputs[MODULE_KEYS.LIBRARY_KEY]
        if self.use_size_factor_key:
            size_factor = tensors[REGISTRY_KEYS.SIZE_FACTOR_KEY].log()
            library = size_factor.expand(*z.shape[:-1], 1)
        return {
            MODULE_KEYS.Z_KEY: z,
            MODULE_KEYS.LIBRARY_KEY: library,
            MODULE_KEYS.BATCH_INDEX_KEY: tensors[REGISTRY_KEYS.BATCH_KEY],
            MODULE_KEYS.Y_KEY: tensors[REGISTRY_KEYS.LABELS_KEY],
            MODULE_KEYS.CONT_COVS_KEY: tensors.get(REGISTRY_KEYS.CONT_COVS_KEY),
            MODULE_KEYS.CAT_COVS_KEY: tensors.get(REGISTRY_KEYS.CAT_COVS_KEY),
        }

    @auto_move_data
    def _regular_inference(
        self,
        x: Tensor,
        batch_index: Tensor,
        y: Tensor,
        cont_covs: Tensor | None = None,
        cat_covs: Tensor | None = None,
        n_samples: int = 1,
        proteins: Tensor | None = None,
    ) -> dict:
        """q(z | x, b), a draw ``z`` from it, and the log library size ``(n_cells, 1)``."""
        mu, log_var = self.encode(x, CellDesign(y, batch_index, cat_covs, cont_covs), proteins)
        return self._draw_latent(mu, (0.5 * log_var).exp(), x.sum(-1, keepdim=True), n_samples)

    @auto_move_data
    def _cached_inference(self, qzm: Tensor, qzv: Tensor, observed_lib_size: Tensor, n_samples: int = 1) -> dict:
        """The same of minified cells, whose latents' means and variances are given."""
        return self._draw_latent(qzm, qzv.sqrt(), observed_lib_size, n_samples)

    def _draw_latent(self, mu: Tensor, scale: Tensor, library: Tensor, n_samples: int) -> dict:
        qz = torch.distributions.Normal(mu, scale, validate_args=False)
        z = qz.rsample((n_samples,)) if n_samples > 1 else qz.rsample()
        return {
            MODULE_KEYS.Z_KEY: z,
            MODULE_KEYS.QZ_KEY: qz,
            MODULE_KEYS.QL_KEY: None,
            # a cell without counts is refused when the model is made; queries are not, and log(0) would spread
            MODULE_KEYS.LIBRARY_KEY: library.clamp(min=1e-8).log().expand(*z.shape[:-1], 1),
        }

    @auto_move_data
    def generative(
        self,
        z: Tensor,
        library: Tensor,
        batch_index: Tensor,
        y: Tensor,
        cont_covs: Tensor | None = None,
        cat_covs: Tensor | None = None,
        transform_batch: int | None = None,
    ) -> dict:
        """p(x | z, l, y, b) and the prior p(z | y)."""
        if transform_batch is not None:
            batch_index = torch.full_like(batch_index, transform_batch)
        return {
            MODULE_KEYS.PX_KEY: self.decode(z, library, CellDesign(y, batch_index, cat_covs, cont_covs)),
            MODULE_KEYS.PL_KEY: None,
            MODULE_KEYS.PZ_KEY: self.prior.distribution(y.squeeze(-1).long()),
        }

    def loss(
        self,
        tensors: dict[str, Tensor],
        inference_outputs: dict,
        generative_outputs: dict,
        kl_weight: Tensor | float = 1.0,
    ) -> LossOutput:
        """Negative ELBO, and beside it what trains the library-size model and the classifier.

        The last two are given, and logged, as ``library_nll`` and ``classification_loss``. They share no weight with the
        ELBO: the library-size model reads the latent as a constant. With a linear generator the ELBO has its
        ``weight_penalty``.
        """
        design, log_library = self.design(tensors), self._get_generative_input(tensors, inference_outputs)["library"]
        qz, z = inference_outputs[MODULE_KEYS.QZ_KEY], inference_outputs[MODULE_KEYS.Z_KEY]
        reconstruction = -log_likelihood(generative_outputs[MODULE_KEYS.PX_KEY], tensors[REGISTRY_KEYS.X_KEY])
        proteins = tensors.get(REGISTRY_KEYS.PROTEIN_EXP_KEY)
        if proteins is not None:
            p_proteins = self.decode_proteins(z, log_library, design, proteins)
            reconstruction = reconstruction - log_likelihood(p_proteins, proteins)
        kl = self.prior.kl(qz.loc, 2 * qz.scale.log(), z, design.y.squeeze(-1).long())
        elbo = (reconstruction + kl_weight * kl).mean()
        if z.dim() > 2:
            return LossOutput(loss=elbo, reconstruction_loss=reconstruction, kl_local=kl)
        library_nll = self.library_nll(z.detach(), log_library, design)
        classification, penalty = self.classification_loss(tensors), self.generator.penalty()
        if proteins is not None and self.proteins is not None:
            penalty = penalty + self.proteins.generator.penalty()
            library_nll = library_nll + self.protein_library_nll(z.detach(), log_library, design, proteins)
        return LossOutput(
            loss=elbo + library_nll + classification + penalty,
            reconstruction_loss=reconstruction,
            kl_local=kl,
            extra_metrics={
                "library_nll": library_nll,
                "classification_loss": classification,
                "weight_penalty": penalty,
            },
        )

    def design(self, tensors: dict[str, Tensor]) -> CellDesign:
        """The cells' design out of a minibatch."""
        return CellDesign(
            tensors[REGISTRY_KEYS.LABELS_KEY],
            tensors[REGISTRY_KEYS.BATCH_KEY],
            tensors.get(REGISTRY_KEYS.CAT_COVS_KEY),
            tensors.get(REGISTRY_KEYS.CONT_COVS_KEY),
        )

    def library_nll(self, z: Tensor, log_library: Tensor, design: CellDesign) -> Tensor:
        """Mean negative log-likelihood of the log library sizes, scalar."""
        return self.library.nll(self._library_input(z, design), log_library.squeeze(-1)).mean()

    def protein_library_nll(self, z: Tensor, log_library: Tensor, design: CellDesign, proteins: Tensor) -> Tensor:
        """Mean negative log-likelihood of the log protein totals, scalar; zero where proteins are no counts."""
        assert self.proteins is not None
        if self.proteins.library is None:
            return z.new_zeros(())
        total_input = self._total_input(z, log_library, design)
        return self.proteins.library.nll(total_input, self.proteins.log_total(proteins).squeeze(-1)).mean()

    def _total_input(self, z: Tensor, log_library: Tensor, design: CellDesign) -> Tensor:
        return torch.cat([self.library.scaled(log_library), self._library_input(z, design)], dim=-1)

    def classification_loss(self, tensors: dict[str, Tensor]) -> Tensor:
        """Cross entropy of the labeled cells, scalar; zero where there is nothing to tell apart."""
        y = tensors[REGISTRY_KEYS.LABELS_KEY].squeeze(-1).long()
        labeled = y < self.n_types
        logits = self.classify(tensors[REGISTRY_KEYS.X_KEY][labeled])
        # the sum over a count of at least one: a minibatch without labeled cells gives zero, not nan
        return cross_entropy(logits, y[labeled], reduction="sum") / labeled.sum().clamp(min=1)

    @torch.inference_mode()
    def sample(self, tensors: dict[str, Tensor], n_samples: int = 1, generative_kwargs: dict | None = None) -> Tensor:
        """Draw from the posterior predictive distribution of real cells.

        Returns
        -------
        Tensor on the CPU, ``(n_cells, n_genes)``, or ``(n_cells, n_genes, n_samples)`` with more than one sample.
        """
        _, generative_outputs = self.forward(
            tensors,
            inference_kwargs={"n_samples": n_samples},
            generative_kwargs=generative_kwargs,
            compute_loss=False,
        )
        samples = self.draw(generative_outputs[MODULE_KEYS.PX_KEY])
        return (samples.permute(1, 2, 0) if n_samples > 1 else samples).cpu()

    @torch.inference_mode()
    @auto_move_data
    def marginal_ll(
        self,
        tensors: dict[str, Tensor],
        n_mc_samples: int,
        return_mean: bool = False,
        n_mc_samples_per_pass: int = 1,
    ) -> Tensor | float:
        """Importance-sampled log p(x) under the labeled prior, ``(n_cells,)`` or its mean."""
        y = tensors[REGISTRY_KEYS.LABELS_KEY].squeeze(-1).long()
        terms = []
        for _ in range(math.ceil(n_mc_samples / n_mc_samples_per_pass)):
            inference, _, losses = self.forward(
                tensors,
                get_inference_input_kwargs={"full_forward_pass": True},
                inference_kwargs={"n_samples": n_mc_samples_per_pass},
            )
            qz, z = inference[MODULE_KEYS.QZ_KEY], inference[MODULE_KEYS.Z_KEY]
            log_w = self.prior.distribution(y).log_prob(z) - qz.log_prob(z).sum(-1)
            terms.append((log_w - losses.dict_sum(losses.reconstruction_loss)).reshape(-1, y.shape[0]))
        log_weights = torch.cat(terms)
        log_likelihood = torch.logsumexp(log_weights, dim=0) - np.log(log_weights.shape[0])
        return log_likelihood.mean().item() if return_mean else log_likelihood.cpu()

    # generation

    def draw(self, px: CellDistribution, generator: torch.Generator | None = None) -> Tensor:
        """Sample cells; a Gaussian's values are cut at zero, as the values it is trained on are, or its mean is taken."""
        if self.gene_likelihood == "mse":
            return px.mean
        x = sample_cells(px, generator)
        return x if self.is_count else x.clamp(min=0.0)

    def draw_with_gradient(self, px: CellDistribution) -> Tensor:
        """Cells for the critic to read, with a gradient to the distribution's means."""
        return px.mean if self.gene_likelihood == "mse" else sample_cells_with_gradient(px)

    def draw_proteins(
        self, z: Tensor, log_library: Tensor, design: CellDesign, *, with_gradient: bool = False
    ) -> Tensor | None:
        """Sample proteins of latents, ``(n_cells, n_proteins)``, for the critic with a gradient; None without proteins."""
        if self.proteins is None:
            return None
        p_proteins = self.decode_proteins(z, log_library, design)
        return self.proteins.draw_with_gradient(p_proteins) if with_gradient else sample_cells(p_proteins)

    def sample_latent(self, design: CellDesign) -> Tensor:
        """z ~ p(z | y, b), ``(n_cells, n_latent)``."""
        return self.prior.distribution(design.y.squeeze(-1).long(), design.batch_index.squeeze(-1).long()).sample()

    def sample_log_library(self, z: Tensor, design: CellDesign) -> Tensor:
        """log l ~ p(log l | z, y, b), ``(n_cells, 1)``."""
        return self.library.sample(self._library_input(z, design)).unsqueeze(-1)
