"""MLflow's registry: the models of a data set that were held against the champion, and which of them it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from waymark.errors import WaymarkError
from waymark.tracking import address
from waymark.tracking.address import TrackingError

if TYPE_CHECKING:
    from mlflow import MlflowClient

CHAMPION = "champion"

# Tags of a run, and of the version that is made of it.
MODEL_VERSION = "waymark.model_version"
ONNX = "waymark.onnx_sha256"
LOCK = "waymark.dvc_lock_sha256"
# Tags of a version alone, which `promote` and `rollback` write.
BEFORE = "waymark.champions_before"  # numbers, the latest first: who was champion when this one took its place
ROLLED_BACK = "waymark.rolled_back"  # when it was taken back, and who did
MEMORY = 100  # champions that are remembered; a tag has room for a thousand


@dataclass(frozen=True)
class Version:
    """One registered model."""

    number: int
    run_id: str  # '' where somebody registered a file of no run
    tags: Mapping[str, str]

    @property
    def model_version(self) -> str:
        """As the service calls the model."""
        return self.tags.get(MODEL_VERSION, "")

    @property
    def champions_before(self) -> list[int]:
        """What a hand wrote there that is no number is passed over."""
        return [int(number) for number in self.tags.get(BEFORE, "").split() if number.isascii() and number.isdecimal()]

    def __str__(self) -> str:
        return f"version {self.number} ({self.model_version or 'registered by hand'})"


class Registry:
    """The registered model of one data set, which need not exist yet."""

    def __init__(self, client: "MlflowClient", dataset: str) -> None:
        self.client, self.name = client, address.name(dataset)

    def champion(self) -> Version | None:
        from mlflow import MlflowException

        with address.speaking():
            try:
                return _version(self.client.get_model_version_by_alias(self.name, CHAMPION))
            except MlflowException as error:
                # The first where nothing is registered yet; the second is MLflow's word for an alias that is not set.
                if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                    return None
                raise

    def require_champion(self) -> Version:
        if champion := self.champion():
            return champion
        raise WaymarkError(
            f"{self.name} has no champion in MLflow at {address.shown(address.uri())}; `waymark promote` makes one"
        )

    def version(self, number: int) -> Version | None:
        return next((version for version in self.versions() if version.number == number), None)

    def versions(self) -> list[Version]:
        """All that are registered, the oldest first."""
        found: list[Any] = []
        token = None
        with address.speaking():
            while True:
                page = self.client.search_model_versions(f"name='{self.name}'", page_token=token)
                found += page
                token = page.token
                if not token:
                    return sorted(map(_version, found), key=lambda version: version.number)

    def register(self, run_id: str, artifact_uri: str, tags: Mapping[str, str]) -> Version:
        """The version of the model that `tags`, a run's, name: the same model is registered once, whichever its run.

        It is registered again where the run that it came from was deleted, and its files with it.
        """
        from mlflow import MlflowException

        if known := self._kept(tags[MODEL_VERSION]):
            return known

        with address.speaking():
            try:
                self.client.create_registered_model(self.name)
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
            own = {key: tags.get(key, "") for key in (MODEL_VERSION, ONNX, LOCK)}
            source = f"{artifact_uri}/models"
            self.client.create_model_version(self.name, source, run_id, tags=own, await_creation_for=0)
        # Not what was just made: of two processes that registered one model at once both take the first of the two.
        made = self._kept(tags[MODEL_VERSION])
        assert made is not None
        return made

    def _kept(self, model_version: str) -> Version | None:
        return next(
            (each for each in self.versions() if each.model_version == model_version and self._has_run(each)), None
        )

    def _has_run(self, version: Version) -> bool:
        from mlflow import MlflowException

        with address.speaking():
            try:
                return version.run_id != "" and bool(
                    self.client.get_run(version.run_id).info.lifecycle_stage == "active"
                )
            except MlflowException as error:
                if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                    return False
                raise

    def note(self, version: Version, tags: Mapping[str, str]) -> None:
        """Write tags on a version, in the given order."""
        with address.speaking():
            for key, value in tags.items():
                self.client.set_model_version_tag(self.name, str(version.number), key, value)

    def forget(self, version: Version, key: str) -> None:
        if key in version.tags:
            with address.speaking():
                self.client.delete_model_version_tag(self.name, str(version.number), key)

    def crown(self, version: Version) -> None:
        """Make it the champion, in one step: there is the old one or the new one at any time."""
        with address.speaking():
            self.client.set_registered_model_alias(self.name, CHAMPION, str(version.number))


def of(dataset: str) -> Registry:
    """Raises TrackingError, within seconds, where MLflow is away."""
    try:
        return Registry(address.connect(), dataset)
    except TrackingError as error:
        if not address.uri().startswith(("http://", "https://")):
            raise
        raise TrackingError(f"{error}; start it, or unset MLFLOW_TRACKING_URI to use {address.DATABASE} here") from None


def _version(told: Any) -> Version:
    """MLflow's number is text from a server and a whole number from a database."""
    return Version(int(told.version), told.run_id or "", dict(told.tags))
