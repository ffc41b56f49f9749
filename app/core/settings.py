"""Every setting, with its default and what it is for; read from `SMARTVOICE_…` variables and `.env`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from app.core.addresses import address_of
from app.core.bucket import BucketAccess, is_s3, origin
from app.core.keyfile import kept_keys
from app.core.renamed_settings import RenamedSettings
from app.core.secrets import check_owner, secret_files
from app.core.setting_limits import Limits
from app.core.setting_types import (
    Hosts,
    Kilobits,
    Networks,
    Origins,
    QueueUrl,
    RedisUrl,
    SampleRate,
    StorageUrl,
    WebAddress,
    listed,
)
from app.core.vocabulary import VOICE_ID, Language

_VOICE = re.compile(rf"(?=[^=]{{1,100}}(=|$)){VOICE_ID}(=[A-Za-z]{{2,3}}(-[A-Za-z0-9]{{1,8}})*)?")
_HEADER_SAFE = re.compile(r"[!-~]*")  # visible ASCII

_MIN_KEY = 32
_MIN_TOKEN = 16


class Settings(Limits):
    """What an operator can set. Sizes are in bytes, times in seconds unless the name says otherwise."""

    # What was given stays out of errors: they are printed and logged, and keys are among it.
    model_config = SettingsConfigDict(
        env_prefix="SMARTVOICE_",
        env_file=".env",
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        allow_inf_nan=False,
    )

    secrets_dir: str = Field(
        "",
        description="folder with a file for each setting that is kept out of the environment; empty: systemd's "
        "credentials, where there are any",
    )
    data_dir: Path = Field(Path("data"), description="where the embedded Redis, the key and the files live")
    redis_url: RedisUrl = Field(
        "", description="jobs, logs and projects; `redis+sentinel://…`, `redis+cluster://…`; empty: the embedded Redis"
    )
    redis_binary: str = Field("", description="program of the embedded Redis; empty: the bundled Valkey, else on PATH")
    queue_url: QueueUrl = Field(
        "", description="Dramatiq's broker, Redis or RabbitMQ (`amqp://…`); empty: the same Redis"
    )
    storage_url: StorageUrl = Field(
        "", description="manuscripts and audio, `file:///…` or `s3://bucket/prefix`; empty: a folder in `data_dir`"
    )
    s3_endpoint: WebAddress = Field(
        "", description="address of a service that speaks S3; empty: AWS_ENDPOINT_URL, else Amazon's own"
    )
    s3_region: str = Field("", description="the bucket's region; empty: AWS_REGION, else us-east-1")
    s3_access_key_id: str = Field("", description="the bucket's access key; empty: AWS_ACCESS_KEY_ID, else a role's")
    s3_secret_access_key: SecretStr = Field(SecretStr(""), description="its secret; empty: AWS_SECRET_ACCESS_KEY")
    audio_delivery: Literal["proxy", "redirect"] = Field(
        "proxy", description="`redirect`: audio comes from the bucket itself, by a signed link"
    )
    audio_link_seconds: int = Field(900, ge=10, le=86400, description="seconds for which such a link holds")
    secret_key: SecretStr = Field(
        SecretStr(""), description="signs tokens, 32 characters at least; empty: a key kept in `data_dir`"
    )
    old_secret_keys: SecretStr = Field(
        SecretStr(""), description="former keys whose tokens still hold, separated by commas"
    )
    jwt_issuer: str = Field("", description="`iss` of the other issuer whose tokens hold here; empty: not checked")
    jwt_audience: str = Field("", description="`aud` that its tokens must name; empty: not checked")
    jwt_secret: SecretStr = Field(SecretStr(""), description="secret that it shares with us, for HS256 and the like")
    jwks_url: WebAddress = Field("", description="where it publishes its keys, for RS256, ES256 and the like")
    jwt_algorithms: str = Field(
        "HS256,RS256,PS256,ES256,EdDSA", description="algorithms that it may sign with, separated by commas"
    )

    host: str = Field("127.0.0.1", description="address that the web side listens on")
    port: int = Field(8000, ge=1, le=65535, description="port that the web side listens on")
    web_processes: int = Field(1, ge=1, description="web processes on that port")
    worker_processes: int = Field(2, ge=1, description="worker processes")
    worker_concurrency: int = Field(2, ge=1, description="jobs of each queue at once in each worker process")
    watch_seconds: float = Field(
        30, ge=1, description="seconds for which what `up` started may be unfit or silent before it is started anew"
    )
    public_url: WebAddress = Field("", description="the address people use, where a proxy stands before SmartVoice")
    trusted_proxies: Networks = Field(
        "", description="addresses and networks of proxies whose `X-Forwarded-…` are believed, separated by commas"
    )
    allowed_hosts: Hosts = Field(
        "",
        description="further names that this server answers to, such as `voice.example, *.lan`, separated by commas; "
        "`*`: any",
    )
    cors_origins: Origins = Field(
        "", description="other sites whose pages may use the API, such as `https://app.example`, separated by commas"
    )

    admins: str = Field("admin", description="users who may see `/status`, separated by commas")
    metrics_token: SecretStr = Field(
        SecretStr(""), description="bearer token for `/metrics`; empty: this machine alone, and not through a proxy"
    )
    worker_metrics_port: int = Field(
        0, ge=0, le=65535, description="port for the metrics of a machine that has workers alone; 0: none"
    )
    metrics_dir: str = Field(
        "", description="folder by which the processes of a machine find each other's metrics; empty: a temporary one"
    )
    log_format: Literal["auto", "console", "json"] = Field(
        "auto", description="form of the logs; `auto`: for people at a terminal, JSON elsewhere"
    )

    default_language: Language = Field("en", description="language of a project that names none and shows none")
    tts_engine: str = Field(
        "espeak",
        pattern=r"^[a-z][a-z0-9_-]*$",
        description="the voice engine: `espeak`, embedded; `piper`, neural voices on the machine itself; `openai`, any "
        "OpenAI-compatible service; or a plugin's",
    )
    tts_piper_dir: str = Field("", description="folder with Piper's voices; empty: `piper` in `data_dir`")
    tts_variables: str = Field(
        "", description="names of environment variables, separated by commas, that a plugin's voice processes get"
    )
    tts_files: str = Field("", description="files and folders, separated by `:`, that they may read beside its package")
    tts_url: str = Field("", description="the voice service's address, with or without `/v1`; needed by `openai`")
    tts_api_key: SecretStr = Field(SecretStr(""), description="the voice service's key; empty: none is sent")
    tts_model: str = Field("tts-1", min_length=1, description="the voice service's model")
    tts_voices: str = Field("", description="its voices, `id` or `id=language`, separated by commas; empty: asks it")
    tts_speed: float = Field(1.0, ge=0.25, le=4, description="how fast it speaks")
    tts_write_out: bool = Field(
        False,
        description="whether numbers, dates and units are written out for it; `espeak` and `piper` always need it",
    )
    tts_format: Literal["wav", "flac", "mp3", "opus", "aac"] = Field("wav", description="the form it sends sound in")
    tts_max_characters: int = Field(1800, ge=100, description="most characters of one call to it")
    tts_concurrency: int = Field(4, ge=1, description="calls to it at once from each worker process")
    tts_timeout_seconds: float = Field(60, gt=0, description="longest that one call to it may take, from end to end")
    price_per_million_characters: float = Field(
        0, ge=0, description="what a million characters of the voice cost, to be shown beforehand; 0: no cost is shown"
    )
    price_currency: str = Field("USD", pattern="^[A-Z]{3}$", description="currency of that price, by ISO 4217")
    tts_tries: int = Field(4, ge=1, description="calls to it for one segment before the segment has failed")

    audio_sample_rate: SampleRate = Field(24000, description="samples a second of the audio")
    audio_kilobits: Kilobits = Field(64, description="kilobits a second of the audio")
    audio_mode: Literal["cbr", "vbr"] = Field(
        "cbr", description="whether that rate is constant (`cbr`) or an average (`vbr`)"
    )
    loudness: float = Field(-19, ge=-36, le=-12, description="loudness of the audio in LUFS")
    pause_sentence: float = Field(0.4, ge=0, le=10, description="seconds of silence after a sentence")
    pause_paragraph: float = Field(0.8, ge=0, le=10, description="seconds of silence after a paragraph")
    pause_heading: float = Field(1.2, ge=0, le=10, description="seconds of silence after a title or heading")
    pause_scene: float = Field(2.0, ge=0, le=10, description="seconds of silence where a scene ends")
    true_peak: float = Field(-3, ge=-9, le=-1, description="highest true peak of the audio in dB of full scale")

    oidc_issuer: WebAddress = Field(
        "", description="address of the OpenID provider that people may sign in at; empty: none"
    )
    oidc_client_id: str = Field("", description="what we are called there")
    oidc_client_secret: SecretStr = Field(SecretStr(""), description="our secret there; empty: a client without one")
    oidc_scopes: str = Field("openid profile email", description="what we ask it for")
    oidc_name: str = Field("OpenID", description="what the button for it is called")
    session_hours: float = Field(24 * 14, gt=0, description="hours for which a sign-in lasts")
    link_minutes: float = Field(60, gt=0, description="minutes for which the one-time sign-in link holds")
    ticket_seconds: float = Field(30, ge=0.001, description="seconds for which a stream ticket may be used")
    max_streams_per_user: int = Field(
        100, ge=1, description="streams that one user may hold open, over all web processes"
    )
    max_streams: int = Field(20_000, ge=1, description="streams that one process may hold open")

    log_length: int = Field(
        10_000, ge=1, description="events kept for each user (trimmed in whole blocks, so rather more)"
    )
    log_days: float = Field(7, gt=0, description="days after which a user's idle log is dropped")
    job_days: float = Field(30, gt=0, description="days for which a finished job can be asked for")
    ring_length: int = Field(256, ge=1, description="latest events of a user that a web process keeps at hand")
    page_length: int = Field(500, ge=2, description="events read from the log at once")
    conflate_over: int = Field(100, ge=1, description="a backlog longer than this is thinned to the latest progress")
    max_event_bytes: int = Field(16 * 1024, ge=1024, description="largest event")
    heartbeat_seconds: float = Field(15, gt=0, description="silence after which a stream gets a heartbeat")
    send_timeout_seconds: float = Field(20, gt=0, description="time in which a client must take what it is sent")
    check_seconds: float = Field(25, gt=0, description="how often a web process compares its rings with the logs")
    max_wait_seconds: float = Field(60, gt=0, description="longest that a long poll may wait")
    drain_seconds: float = Field(10, gt=0, description="time over which streams are closed at shutdown")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What is given in the code comes first, then the environment, `.env`, and files of secrets."""
        if given := getattr(dotenv_settings, "env_file", None):
            check_owner(Path(given))
        if dotenv_settings().get("redis_binary"):
            raise ValueError("SMARTVOICE_REDIS_BINARY names a program: set it in the environment, not in .env")
        told = (init_settings, env_settings, dotenv_settings)
        return (*told, RenamedSettings(settings_cls, told), *secret_files(settings_cls, told))

    @model_validator(mode="after")
    def _keys_are_sound(self) -> Self:
        own = [self.secret_key.get_secret_value(), *listed(self.old_secret_keys.get_secret_value())]
        shared = self.jwt_secret.get_secret_value()
        if any(0 < len(key) < _MIN_KEY for key in [*own, shared]):
            raise ValueError(f"a key that signs tokens has at least {_MIN_KEY} characters (RFC 7518, 3.2)")
        if shared and shared in own:
            raise ValueError("SMARTVOICE_JWT_SECRET must not be a key of our own: its holder could pass for anybody")
        return self

    @field_validator("metrics_token")
    @classmethod
    def _is_hard_to_guess(cls, token: SecretStr) -> SecretStr:
        given = token.get_secret_value()
        if given and (len(given) < _MIN_TOKEN or not _HEADER_SAFE.fullmatch(given)):
            raise ValueError(f"has {_MIN_TOKEN} visible ASCII characters at least")
        return token

    @model_validator(mode="after")
    def _provider_is_whole(self) -> Self:
        if self.oidc_issuer and not self.oidc_client_id:
            raise ValueError("SMARTVOICE_OIDC_ISSUER needs SMARTVOICE_OIDC_CLIENT_ID")
        if "openid" not in self.oidc_scopes.split():
            raise ValueError("SMARTVOICE_OIDC_SCOPES must have `openid` among them")
        return self

    @model_validator(mode="after")
    def _links_need_a_bucket(self) -> Self:
        if self.audio_delivery == "redirect" and not is_s3(self.storage):
            raise ValueError("SMARTVOICE_AUDIO_DELIVERY=redirect needs a bucket: set SMARTVOICE_STORAGE_URL=s3://…")
        if bool(self.s3_access_key_id) != bool(self.s3_secret_access_key.get_secret_value()):
            raise ValueError("SMARTVOICE_S3_ACCESS_KEY_ID and SMARTVOICE_S3_SECRET_ACCESS_KEY go together")
        return self

    @model_validator(mode="after")
    def _queue_apart_from_a_cluster(self) -> Self:
        if self.redis_url.partition(":")[0].endswith("+cluster") and not self.queue_url:
            raise ValueError("Dramatiq cannot use a Redis Cluster: set SMARTVOICE_QUEUE_URL to a single Redis")
        return self

    @model_validator(mode="after")
    def _voice_service_is_named(self) -> Self:
        if self.tts_engine == "openai" and not self.tts_url:
            raise ValueError("the engine `openai` needs SMARTVOICE_TTS_URL, the address of the voice service")
        return self

    @field_validator("tts_url")
    @classmethod
    def _is_base_url(cls, url: str) -> str:
        parts = urlsplit(url)
        if url and not (parts.scheme in {"http", "https"} and parts.hostname):
            raise ValueError("must be an address such as http://127.0.0.1:8880/v1")
        if "@" in parts.netloc or parts.query or parts.fragment:
            raise ValueError("takes no credential, query or fragment; the key goes into SMARTVOICE_TTS_API_KEY")
        return url

    @field_validator("tts_api_key")
    @classmethod
    def _fits_into_a_header(cls, key: SecretStr) -> SecretStr:
        stripped = key.get_secret_value().strip()
        if not _HEADER_SAFE.fullmatch(stripped):
            raise ValueError("has spaces or characters in it that no key has")
        return SecretStr(stripped)

    @field_validator("tts_voices")
    @classmethod
    def _are_voices(cls, voices: str) -> str:
        for voice in filter(None, map(str.strip, voices.split(","))):
            if not _VOICE.fullmatch(voice):
                raise ValueError(
                    f"{voice!r} is no voice: write `id` or `id=language`, such as alloy or zf_xiaobei=zh-CN"
                )
        return voices

    @property
    def redis(self) -> str:
        """URL of the Redis with jobs, logs and projects."""
        return self.redis_url or f"unix://{self.data_dir.absolute() / 'redis.sock'}"

    @property
    def queue(self) -> str:
        """URL of Dramatiq's broker."""
        return self.queue_url or self.redis

    @property
    def storage(self) -> str:
        """URL of the place for manuscripts and audio."""
        return self.storage_url or (self.data_dir.absolute() / "storage").as_uri()

    @property
    def s3_access(self) -> BucketAccess:
        """How the bucket is reached, where the storage is one."""
        return BucketAccess(
            self.s3_endpoint, self.s3_region, self.s3_access_key_id, self.s3_secret_access_key.get_secret_value()
        )

    @property
    def audio_origin(self) -> str:
        """The other site that audio is fetched from; empty where it comes from us."""
        return origin(self.storage, self.s3_access) if self.audio_delivery == "redirect" else ""

    @property
    def piper_dir(self) -> Path:
        """The folder with Piper's voices."""
        return Path(self.tts_piper_dir) if self.tts_piper_dir else self.data_dir / "piper"

    @property
    def voice_variables(self) -> list[str]:
        """The names of the environment variables that voice processes of a plugin get."""
        return [name.strip() for name in self.tts_variables.split(",") if name.strip()]

    @property
    def voice_files(self) -> list[Path]:
        """The files and folders that voice processes of a plugin may read."""
        return [Path(path).absolute() for path in self.tts_files.split(":") if path]

    @property
    def tts_base_url(self) -> str:
        """What the paths of the voice service's interface follow: `…/v1`."""
        url = self.tts_url.rstrip("/")
        return url if url.endswith("/v1") else f"{url}/v1"

    @property
    def address(self) -> str:
        """What people type into their browser."""
        return (self.public_url or address_of(self.host, self.port)).rstrip("/")

    @property
    def places(self) -> int:
        """How many jobs of each queue the workers of one machine do at once (see `WorkerCapacity`)."""
        return self.worker_processes * self.worker_concurrency

    def signing_key(self) -> bytes:
        """The key that signs tokens: the one set, else the one kept in `data_dir`, made at the first need."""
        return self.own_keys()[0]

    def own_keys(self) -> list[bytes]:
        """The keys whose tokens hold; the first of them signs."""
        if secret := self.secret_key.get_secret_value():
            return [secret.encode(), *(old.encode() for old in listed(self.old_secret_keys.get_secret_value()))]
        return kept_keys(self.key_file)

    @property
    def key_file(self) -> Path:
        """Where the keys are kept that were not set."""
        return self.data_dir / "secret.key"

    @property
    def over_https(self) -> bool:
        """Whether people use an address that is https, whatever reaches us behind a proxy."""
        return self.address.startswith("https://")

    @property
    def admin_users(self) -> frozenset[str]:
        """Who may see how the service is."""
        return frozenset(listed(self.admins))

    @property
    def proxies(self) -> list[str]:
        """The proxies that are believed."""
        return listed(self.trusted_proxies)

    @property
    def hosts(self) -> list[str]:
        """The further names that this server answers to."""
        return listed(self.allowed_hosts)

    @property
    def other_origins(self) -> list[str]:
        """The other sites whose pages may use the API."""
        return listed(self.cors_origins)

    @property
    def outside_algorithms(self) -> frozenset[str]:
        """The algorithms that the other issuer's tokens may be signed with."""
        return frozenset(listed(self.jwt_algorithms))
