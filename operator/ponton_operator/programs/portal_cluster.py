"""The portal as one of several pods: the accounts come from the Kubernetes API. Called by `portal`.

All pods serve at the same time. One is ready once it knows all accounts, and stays so when Redis or the API is away:
then its pages say what cannot be done now, which is better than no page.
"""

from importlib.metadata import version
from typing import Final

from ponton_bridge.shard.logs import Log
from ponton_operator.cluster.kube_accounts import KubeAccounts
from ponton_operator.cluster.kube_api import Client, KubeApi
from ponton_operator.cluster.metrics import Metrics
from ponton_operator.programs.portal import Around, Config, run

LINGER: Final = 5.0  # seconds; endpoints are told within one or two, proxies in front may take some more


async def serve(config: Config, log: Log) -> int:
    """Serve until told to end; gives the exit code. Raises KubeError where there is no cluster."""
    metrics = Metrics("portal", version("ponton"))
    client = Client.connect(metrics.call)
    api = KubeApi(client)
    accounts = KubeAccounts(api, config.gateway)

    def alive() -> str:
        return "the watch of accounts has ended" if accounts.broken else ""

    def ready() -> str:
        return "" if accounts.synced else "the accounts are not known yet"

    accounts.start()
    try:
        return await run(config, accounts, log, metrics, Around(alive, ready, LINGER))
    finally:
        await accounts.close()
        api.close()
