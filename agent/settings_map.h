#pragma once

#include "agent/node.h"
#include "config/settings.h"
#include "gossip/seal.h"
#include "mysql/worker.h"

// What a person wrote in ringagent.toml, as the parts of the agent want to hear it.
namespace ringagent {

NodeSettings node_settings(const Settings& settings);

// How to reach the own server; and, with the replication account, everybody else's.
ConnectSettings local_connection(const Settings& settings);
ConnectSettings remote_connection(const Settings& settings);

// `name` is that of the worker's thread.
WorkerSettings worker_settings(const Settings& settings, const std::string& name);

// The keys in [gossip] key_file, or why there are none.
Result<KeyRing> read_keys(const Settings& settings);

// What of `now` has no effect before a restart, in the words of the file ("[gossip] listen"); empty if
// nothing.
std::vector<std::string> needs_restart(const Settings& before, const Settings& now);

}  // namespace ringagent
