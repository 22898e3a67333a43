#pragma once

#include <optional>

#include "agent/node.h"

// Agents of two versions side by side. The older one here is of before [ring] writers = "one": it knows nothing of leases,
// of that reason, of the fields that were appended for it, nor of the config format that names a writer.
//
// Only what it reads differs (gossip/codec_fields.h says what a reader makes of what it does not know), and its config
// cannot ask for the mode. Its decisions are those of today's code: what changes between two versions of the policy is
// shown by nothing here.
namespace ringagent::sim {

// What such an agent makes of a message; nullopt: nothing, it is malformed to it.
std::optional<Message> read_by_older(Message message);
// What others read of what it says: records that it hands on are whole.
Message said_by_older(Message message);
// Its settings, where those of the new version are these.
NodeSettings settings_of_older(NodeSettings settings);

}  // namespace ringagent::sim
