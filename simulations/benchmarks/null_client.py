"""A ClientApp that trains nothing, so that what is left is the engine; a module that worker processes can import."""

from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from medfed import messages
from medfed.types import Update

app = ClientApp()


@app.query()
def query(message: Message, context: Context) -> Message:
    """Introduce the site: one image of the first of two classes."""
    info = messages.SiteInfo(str(context.node_config["site"]), 1, 0, 0, (1, 0))
    return Message(messages.info_reply(info), reply_to=message)


@app.train()
def train(message: Message, context: Context) -> Message:
    """Send a copy of the weights back: the one copy that the plain loop makes too."""
    request = messages.read_request(message.content)
    copies = {name: value.clone() for name, value in request.weights.items()}
    update = Update(str(context.node_config["site"]), copies, 1, 1, {"loss": 0.0})
    return Message(messages.update_reply(update, 0.0), reply_to=message)
