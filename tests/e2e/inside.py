"""What tests do from inside an agent's pod, in the agent's place and with its token."""

import json

from tests.e2e.installation import Installation, JsonObject

POST = """
import json, os, ssl, sys, urllib.error, urllib.request
context = ssl.create_default_context(cafile=os.environ["AOS_CA_FILE"])
headers = {
    "Authorization": "Bearer " + open(os.environ["AOS_TOKEN_FILE"]).read(),
    "Content-Type": "application/json",
    "A2A-Version": "1.0",
}
url = os.environ["AOS_GATEWAY_URL"] + sys.argv[1]
request = urllib.request.Request(url, data=sys.argv[2].encode(), headers=headers)
try:
    print(urllib.request.urlopen(request, context=context, timeout=60).read().decode() or "{}")
except urllib.error.HTTPError as error:
    print(error.read().decode())
"""


def post(aos: Installation, pod: str, path: str, body: JsonObject) -> JsonObject:
    """Post to the gateway; return the answer, refusals included."""
    ran = aos.run(pod, "python3", "-c", POST, path, json.dumps(body))
    assert ran.code == 0, ran.output
    answer = json.loads(ran.output)
    assert isinstance(answer, dict)
    return answer
