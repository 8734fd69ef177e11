"""What a model generates, through its sampler; and the model as files that hold no cells and no code."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import wraps
from typing import Any, Concatenate, Self

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from scipy.sparse import csr_matrix, hstack
from scvi import REGISTRY_KEYS
from scvi.model.base import BaseModelClass

from activa.arguments import check_integers
from activa.assembly import as_anndata, as_cells, as_mudata, stack
from activa.design import Design
from activa.io import sampler_files
from activa.io.tables import parse
from activa.model.registry import design_of, registered_names, registry_from_json, registry_to_json
from activa.model.training_checks import check_device
from activa.sampler import Sampler
from activa.scvi_private import parse_device_args
from activa.train import Recipe


def _by_the_sampler[**P, R](method: Callable[Concatenate[Sampler, P], R]) -> Callable[Concatenate[Any, P], R]:
    """The sampler's method as a method of the model."""

    @wraps(method)
    def of_model(self: Any, *args: P.args, **kwargs: P.kwargs) -> R:
        return method(self.sampler, *args, **kwargs)

    return of_model


class Generation(BaseModelClass):
    """Generation, augmentation, prediction of types and export of a trained model."""

    generate = _by_the_sampler(Sampler.generate)
    generate_batches = _by_the_sampler(Sampler.generate_batches)
    generate_zarr = _by_the_sampler(Sampler.generate_zarr)

    @property
    def sampler(self) -> Sampler:
        """What draws the model's cells, with its networks and without its data; a RuntimeError before training."""
        self._check_if_trained(warn=False)
        return self.make_sampler()

    def make_sampler(self) -> Sampler:
        """The sampler of the networks as they are, trained or not."""
        protein_var = self.protein_var_ if self.design.modalities is not None else None
        return Sampler(self.module, self.design, self.module.settings, self.var_, protein_var)

    @property
    def design(self) -> Design:
        """Types, batches and covariates of the training cells."""
        # a model of a data module has no table before it has read the cells
        table, appearance = getattr(self, "design_", pd.DataFrame()), getattr(self, "appearance_", None)
        return design_of(self.registry_, table, appearance)

    @property
    def types(self) -> np.ndarray:
        """The cell types, in the order of their codes; ``["all"]`` without labels."""
        return self.design.types

    def predict(
        self,
        adata: AnnData | None = None,
        *,
        soft: bool = False,
        indices: Sequence[int] | None = None,
        batch_size: int = 1024,
        dataloader: Iterable[dict[str, torch.Tensor]] | None = None,
    ) -> np.ndarray | pd.DataFrame:
        """Predict the types of cells, or without ``adata`` of the model's own cells.

        Arguments, result and errors are those of :meth:`activa.Sampler.predict`; or cells are read from a ``dataloader``, such
        as ``datamodule.inference_dataloader()``.

        Examples
        --------
        >>> model.predict(soft=True).shape
        (700, 10)
        """
        sampler = self.sampler
        if dataloader is not None:
            if adata is not None or indices is not None:
                raise ValueError("dataloader was given with adata or indices: give one of them.")
            found = sampler.classify(_counts_of(dataloader))
            return found if soft else sampler.types[found.to_numpy().argmax(-1)]
        adata = self._cells_with_counts("predict without adata=") if adata is None else adata
        return sampler.predict(adata, soft=soft, indices=indices, batch_size=batch_size)

    def augment(self, n: int | None = None, **request: Any) -> AnnData:
        """The registered cells and new ones, for arguments as in :meth:`generate`, in one AnnData (or MuData, as registered).

        Returns
        -------
        The real cells (with the registered counts in ``X``) above the synthetic ones; ``obs["origin"]`` is ``"real"`` or
        ``"synthetic"``. Columns of ``obs`` that only real cells have are missing for synthetic ones; real cells' type and
        batch were ``seen``, where batches are asked for.

        Raises
        ------
        ValueError
            If the model has no data, or minified data; if the cells have a column ``origin``, or where they would be
            written ``seen`` or ``library_size``; and as :meth:`generate`.

        Examples
        --------
        >>> model.augment(labels={"CD34+": 100}, seed=0).obs["origin"].value_counts().to_dict()
        {'real': 700, 'synthetic': 100}
        """
        self._cells_with_counts("augment")
        self._check_values(self.adata_manager)
        tables = self._obs_tables()
        asks_batches = request.get("batch") is not None or isinstance(request.get("labels"), pd.DataFrame)
        written = {"origin": True, "seen": asks_batches, "library_size": bool(request.get("latents"))}
        for column in (name for name, is_written in written.items() if is_written):
            if any(column in obs for obs in tables.values()):
                raise ValueError(f"augment writes obs[{column!r}], and the cells already have that column: rename it.")
        synthetic: Any = self.generate(n, **request)
        # backed data come into memory here
        real = csr_matrix(self.adata_manager.get_from_registry(REGISTRY_KEYS.X_KEY)[:], dtype=np.float32)
        design = self.design
        if design.modalities is None:
            colors = {
                key: value for key, value in self.adata.uns.items() if key.removesuffix("_colors") in tables[None]
            }
            return stack(as_anndata(real, tables[None], self.var_, design.layer, colors), synthetic)
        proteins = self.adata_manager.get_from_registry(REGISTRY_KEYS.PROTEIN_EXP_KEY)
        x = hstack([real, csr_matrix(proteins, dtype=np.float32)], format="csr")
        cells: Any = as_cells(x, tables[None], self.var_, self.protein_var_, design, {})
        modalities = {}
        for name, modality in cells.mod.items():
            modality.obs = tables[name]
            modalities[name] = stack(modality, synthetic[name])
        obs: Any = stack(AnnData(obs=tables[None]), AnnData(obs=synthetic.obs.copy())).obs
        return as_mudata(modalities, obs, dict(synthetic.uns))

    def _cells_with_counts(self, method: str) -> Any:
        """The model's own cells; a ValueError names the method that needs their counts where there are none."""
        if self.adata is None:
            raise ValueError(f"{method} needs cells, and the model was loaded without data: load it with adata=.")
        self._check_counts(method)
        return self.adata

    def _obs_tables(self) -> dict[str | None, pd.DataFrame]:
        """``obs`` of the real cells (key None) and of their modalities, each with the columns registered from others."""
        tables: dict[str | None, Any] = {None: self.adata.obs}
        registered: dict[str, Any] = {}
        if self.design.modalities is not None:
            tables |= {name: self.adata[name].obs for name in self.design.modalities}
            arguments = self.registry_["setup_args"]
            for argument in ("labels_key", "batch_key", "categorical_covariate_keys", "continuous_covariate_keys"):
                keys = arguments[argument] or []
                source = arguments["modalities"].get(argument)
                for key in [keys] if isinstance(keys, str) else keys:
                    registered[key] = (self.adata if source is None else self.adata[source]).obs[key]
        own = {name: obs[[c for c in obs if not c.startswith("_scvi")]] for name, obs in tables.items()}
        return {
            name: obs.assign(**{key: column for key, column in registered.items() if key not in obs})
            for name, obs in own.items()
        }

    def export(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write the model, without its cells, as files that are data, not a program.

        For models that travel: what :meth:`save` writes is a pickle, which can run code where it is loaded. Beside what
        :meth:`activa.Sampler.save` writes, ``model.json`` holds what scvi-tools registered. Arguments and errors are those
        of :meth:`activa.Sampler.save`.

        Examples
        --------
        >>> model.export("blood/")  # doctest: +SKIP
        """
        reference = self.reference_categories_
        model = {
            "model_class": type(self).__name__,
            "registry": registry_to_json(self.registry_),
            "training_defaults": self.training_defaults_,
            "reference_categories": None if reference is None else [reference[0], list(reference[1])],
        }
        sampler_files.save(path, self.sampler, overwrite=overwrite, model=model)

    @classmethod
    def from_export(
        cls, path: str | os.PathLike[str], *, accelerator: str = "auto", device: int | str = "auto"
    ) -> Self:
        """Read a model that :meth:`export` wrote, and run nothing that is in the files (see :meth:`activa.Sampler.load`).

        Parameters
        ----------
        path, accelerator, device
            The folder, and where to put the model, as in :meth:`load`.

        Returns
        -------
        A trained model without data, which generates what the exported model does and reads other cells
        (:meth:`predict`, :meth:`get_latent_representation`, :meth:`load_query_data`).

        Raises
        ------
        FileNotFoundError, ValueError
            If the device or a file does not exist, or files are damaged, do not fit together or hold no model.

        Examples
        --------
        >>> ACTIVA.from_export("blood/").generate(1000, seed=0)  # doctest: +SKIP
        """
        check_device(accelerator, device, "device")
        _, _, torch_device = parse_device_args(
            accelerator=accelerator, devices=device, return_device="torch", validate_single_device=True
        )
        fields, files = sampler_files.load(path)
        sampler = Sampler(**fields)
        if sampler_files.MODEL not in files:
            raise ValueError(f"path={os.fspath(path)!r} holds a sampler only: read it with activa.Sampler.load.")
        try:
            content = parse(files[sampler_files.MODEL])
            if content["model_class"] != cls.__name__:
                raise ValueError(f"its class is {content['model_class']!r}, not {cls.__name__!r}")
            registry = registry_from_json(content["registry"])
            _check_registry(registry, sampler)
            model = cls(registry=registry, **sampler.settings.to_dict())
            reference = content["reference_categories"]
            model.training_defaults_ = _training_defaults(**content["training_defaults"])
            known = None if reference is None else (int(reference[0]), tuple(map(int, reference[1])))
            model.reference_categories_ = known
            model.module.load_state_dict(sampler.module.state_dict())
        except (ValueError, TypeError, KeyError, AttributeError, IndexError, RuntimeError) as error:
            found = f"path={os.fspath(path)!r}: {sampler_files.MODEL} does not describe a model of these files"
            raise ValueError(
                f"{found} ({str(error)[:500]}). Use activa.Sampler.load, or get the export again."
            ) from error
        model.design_, model.var_, model.is_trained_ = sampler.design.table, sampler.var, True
        model.appearance_ = {"ordered": list(sampler.design.ordered), "colors": sampler.design.colors}
        if sampler.protein_var is not None:
            model.protein_var_ = sampler.protein_var
        model.to_device(torch_device)
        model.module.eval()
        return model


def _counts_of(dataloader: Any) -> Iterator[torch.Tensor]:
    """The counts of minibatches; a TypeError or ValueError if there are none."""
    n_minibatches = 0
    for tensors in dataloader if isinstance(dataloader, Iterable) else [None]:
        if not isinstance(tensors, Mapping) or REGISTRY_KEYS.X_KEY not in tensors:
            raise TypeError(f"dataloader must give minibatches of tensors by name, with {REGISTRY_KEYS.X_KEY!r}.")
        n_minibatches += 1
        yield tensors[REGISTRY_KEYS.X_KEY]
    if not n_minibatches:
        raise ValueError("dataloader has no minibatch: give one that has.")


def _check_registry(registry: dict[str, Any], sampler: Sampler) -> None:
    """Raise a ValueError unless what scvi-tools registered describes the sampler's cells."""
    ours, theirs = sampler.design, design_of(registry, sampler.design.table)
    for name in ("types", "batches", "continuous", "labels_key", "batch_key", "layer", "protein_layer", "modalities"):
        if not np.array_equal(getattr(ours, name), getattr(theirs, name)):
            raise ValueError(f"the registered {name} are {getattr(theirs, name)}, not {getattr(ours, name)}")
    covariates = [{name: list(values) for name, values in d.categorical.items()} for d in (ours, theirs)]
    if covariates[0] != covariates[1]:
        raise ValueError("the registered categorical covariates differ from the sampler's")
    if list(registered_names(registry)) != list(sampler.genes):
        raise ValueError("the registered genes differ from the sampler's")


def _training_defaults(max_epochs: int | None = None, recipe: dict[str, Any] | None = None) -> dict[str, Any]:
    """Checked epochs and recipe of a model that has its own."""
    if max_epochs is None and recipe is None:
        return {}
    check_integers(max_epochs=max_epochs)
    return {"max_epochs": max_epochs, "recipe": Recipe.from_dict(recipe or {}).to_dict()}
