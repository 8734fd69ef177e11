"""Models to give away: exported without cells and without code, and read back."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, Self

import numpy as np
import torch

from activa.arguments import check_booleans
from activa.export import (
    MARKS,
    Fields,
    Tensors,
    cells_from_json,
    cells_to_json,
    read_files,
    settings_from_json,
    settings_to_json,
    table_from_json,
    table_to_json,
    write_files,
)
from activa.export._fields import refused
from activa.interrupts import interrupts_wait
from activa.io.atomic import as_path, atomic_folder
from activa.model._registered import RegisteredMixin
from activa.model.training_checks import check_device
from activa.scvi_private import parse_device_args

_WEIGHTS = "weights."
_PARTS = (
    "format",
    "format_version",
    "written_by",
    "weights",
    "sha256",
    "model_class",
    "model",
    "cells",
    "genes",
    "proteins",
)


class ExportMixin(RegisteredMixin):
    """The ``export`` and ``from_export`` methods."""

    training_defaults_: dict[str, Any]
    reference_categories_: tuple[int, tuple[int, ...]] | None
    is_trained_: bool
    to_device: Callable[..., None]

    def export(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write the model, without its cells, as files that are data and not a program.

        For models that travel: to other people, to a web service, into a pipeline. What :meth:`save` writes is a pickle,
        which can run code where it is loaded; it is for scvi-tools' hub, scArches, and going on with training.

        The folder holds ``activa.safetensors``, weights and other numbers, and ``activa.json``, all else: settings, names
        of genes and proteins with their tables, categories of types, batches and covariates, and which of them occurred
        together in how many cells. That table has the training cells' continuous covariates as they were; no counts,
        names of cells or losses are written. Of the genes' table, columns are left out, with a warning, that hold neither
        strings nor numbers (missing or not) nor categories of these.

        Parameters
        ----------
        path
            The folder. It is written beside and moved here when it is whole.
        overwrite
            Whether to replace an export that is at ``path``, which is kept until the new one is whole.

        Raises
        ------
        RuntimeError
            If the model has not been trained.
        FileExistsError
            If something is at ``path``, and ``overwrite`` is not set or it is no export.
        FileNotFoundError, NotADirectoryError, PermissionError
            If the folder that it is to be in is not there, or cannot be written in.
        TypeError
            If ``path`` is none, or a category is neither a string nor a number.

        Examples
        --------
        >>> model.export("blood/")
        >>> ACTIVA.from_export("blood/").generate(100, seed=0)
        """
        self._check_if_trained(warn=False)
        check_booleans(overwrite=overwrite)
        weights = {
            name: tensor.detach().cpu().contiguous().numpy() for name, tensor in self.module.state_dict().items()
        }
        tensors: Tensors = {f"{_WEIGHTS}{name}": array for name, array in weights.items()}
        with atomic_folder(as_path(path), overwrite=overwrite, what="export", marks=MARKS) as part:
            content: dict[str, Any] = {"model_class": type(self).__name__}
            content["model"] = settings_to_json(
                self.init_params_["non_kwargs"], self.training_defaults_, self.reference_categories_
            )
            content["cells"], design = cells_to_json(self.registry_, self.design_)
            content["genes"], genes = table_to_json(self.var_, "genes")
            content["proteins"] = None
            proteins: Tensors = {}
            if self._modalities is not None:
                content["proteins"], proteins = table_to_json(self.protein_var_, "proteins")
            write_files(part, content, {**tensors, **design, **genes, **proteins})
            # what cannot be read is not written
            type(self).from_export(part, accelerator="cpu")

    @classmethod
    def from_export(
        cls, path: str | os.PathLike[str], *, accelerator: str = "auto", device: int | str = "auto"
    ) -> Self:
        """A model out of what :meth:`export` wrote.

        Nothing in the files is run, whoever they are from: numbers are read as safetensors and the rest as JSON, and all of
        it is checked before it is used. The checksums show that neither file has changed since it was written, not who
        wrote it.

        Parameters
        ----------
        path
            The folder.
        accelerator, device
            Where to put the model, as in :meth:`load`.

        Returns
        -------
        A trained model without data. It generates, for a seed and on one kind of device, the cells that the exported one
        does, and reads other cells with its genes (:meth:`predict`, :meth:`get_latent_representation`,
        :meth:`load_query_data`). What needs the training cells raises a ValueError.

        Raises
        ------
        FileNotFoundError
            If the folder or one of its files is not there.
        ValueError
            If there is no such device; if a file is damaged, was changed, or is of a newer format; or if what it says does not fit together.

        Examples
        --------
        >>> model = ACTIVA.from_export("blood/")
        >>> synthetic = model.generate(1000, seed=0)
        """
        path = as_path(path)
        check_device(accelerator, device, "device")
        _, _, torch_device = parse_device_args(
            accelerator=accelerator, devices=device, return_device="torch", validate_single_device=True
        )
        fields, tensors = read_files(path)
        fields.only(_PARTS)
        if fields.text("model_class") != cls.__name__:
            raise ValueError(
                f"path={os.fspath(path)!r} holds a model of the class {fields.text('model_class')!r}, not {cls.__name__!r}: "
                "read it by from_export of that class."
            )
        var = table_from_json(fields.fields("genes"), tensors)
        protein_var = None if fields.any("proteins") is None else table_from_json(fields.fields("proteins"), tensors)
        settings, training_defaults, reference = settings_from_json(fields.fields("model"))
        registry, design = cells_from_json(
            fields.fields("cells"),
            tensors,
            genes=var.index,
            proteins=None if protein_var is None else protein_var.index,
            model_name=cls.__name__,
            scvi_version=fields.fields("written_by").text("scvi-tools"),
        )
        model = cls._without_weights(fields, registry, settings)
        model._take_weights(fields, tensors)
        model.design_, model.var_, model.is_trained_ = design, var, True
        if protein_var is not None:
            model.protein_var_ = protein_var
        model.training_defaults_, model.reference_categories_ = training_defaults, reference
        model.to_device(torch_device)
        model.module.eval()
        return model

    @classmethod
    def _without_weights(cls, fields: Fields, registry: dict[str, Any], settings: Mapping[str, Any]) -> Self:
        """A model whose weights have shapes and no memory, however large a file says that they are."""
        try:
            # with this device each of PyTorch's calls goes through Python code that an interrupt would leave half done:
            # gradients off, or all later tensors without memory
            with interrupts_wait(), torch.device("meta"):
                return cls(registry=registry, **settings)  # type: ignore[call-arg]
        except (ValueError, TypeError, RuntimeError) as error:
            raise refused(fields.where, f"'settings' make no model ({error})") from error

    def _take_weights(self, fields: Fields, tensors: Tensors) -> None:
        """Give the module the weights of a file, which must be all of its, and no others."""
        expected = {f"{_WEIGHTS}{name}": tensor for name, tensor in self.module.state_dict().items()}
        if different := sorted(set(expected) ^ set(tensors)):
            raise refused(fields.where, f"the settings and genes ask for other tensors than there are: {different[:3]}")
        found: dict[str, torch.Tensor] = {}
        for name, tensor in expected.items():
            array = tensors[name]
            if array.shape != tuple(tensor.shape) or array.dtype != _NUMPY.get(tensor.dtype):
                raise refused(
                    fields.where,
                    f"the settings and genes ask for {name!r} of shape {tuple(tensor.shape)} and {tensor.dtype}, and it is "
                    f"{array.shape} and {array.dtype}",
                )
            # a copy: the array is read-only
            found[name.removeprefix(_WEIGHTS)] = torch.tensor(array)
        with interrupts_wait():
            self.module.load_state_dict(found, assign=True)


_NUMPY = {torch.float32: np.dtype("float32"), torch.int64: np.dtype("int64")}
