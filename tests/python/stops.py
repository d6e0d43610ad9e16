"""A warehouse that reacts, in Python: it watches the feed for what it must stop, and never misses or repeats one.

Written from the comments of event_service.proto alone. It needs grpcio and protobuf; the messages come from Belay's
descriptor set, so nothing is generated.

    stops.py ADDRESS WAREHOUSE STORE DESCRIPTOR_SET STATE_FILE COUNT

Prints one line of JSON for each gate that opens for one of the warehouse's shipments, until it has printed COUNT of them
over all its runs. STATE_FILE holds the token behind what was printed, and so survives any end.
"""

import json
import os
import sys

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory


def messages(path):
    """The classes of the messages, by their full name."""
    files = descriptor_pb2.FileDescriptorSet()
    with open(path, "rb") as file:
        files.ParseFromString(file.read())
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)

    def message(name):
        return message_factory.GetMessageClass(pool.FindMessageTypeByName(name))

    return message, pool


def load(path):
    try:
        with open(path) as file:
            return json.load(file)
    except FileNotFoundError:
        return {"resume_token": "", "printed": 0}


def save(path, state):
    """Whole or not at all."""
    with open(path + ".new", "w") as file:
        json.dump(state, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(path + ".new", path)


def main():
    address, warehouse, store, descriptors, state_file, count = sys.argv[1:]
    message, pool = messages(descriptors)
    request_type = message("belay.v1.WatchEventsRequest")
    response_type = message("belay.v1.WatchEventsResponse")
    types = pool.FindEnumTypeByName("belay.v1.EventType").values_by_name
    gate_opened = types["EVENT_TYPE_GATE_OPENED"].number
    oldest = pool.FindEnumTypeByName("belay.v1.FeedStart").values_by_name["FEED_START_OLDEST"].number

    state = load(state_file)
    with grpc.insecure_channel(address) as channel:
        watch = channel.unary_stream(
            "/belay.v1.EventService/WatchEvents",
            request_serializer=request_type.SerializeToString,
            response_deserializer=response_type.FromString,
        )
        while state["printed"] < int(count):
            request = request_type()
            request.filter.store_id = store
            request.filter.warehouse_ids.append(warehouse)
            request.filter.event_types.append(gate_opened)
            if state["resume_token"]:
                request.resume_token = state["resume_token"]
            else:
                request.start = oldest
            try:
                caller = (("belay-role", "warehouse"), ("belay-actor", warehouse))
                for batch in watch(request, metadata=caller, wait_for_ready=True):
                    for event in batch.events:
                        units = {it.sku: it.quantity for it in event.gate_changed.contents}
                        gate = event.gate_changed
                        line = {"shipment_id": gate.shipment_id, "fence": gate.fence, "units": units}
                        print(json.dumps(line, sort_keys=True), flush=True)
                        state["printed"] += 1
                    # What was printed and not saved would come again with the same partition and position.
                    state["resume_token"] = batch.resume_token
                    save(state_file, state)
                    if state["printed"] >= int(count):
                        break
            except grpc.RpcError as error:
                # The server is gone or stops; the token goes on wherever the next one is.
                if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.ABORTED):
                    raise


main()
