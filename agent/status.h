#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "agent/snapshot.h"

// A snapshot as JSON: what GET /status and `ringagent status --json` give away (contract.md, "format": 1).
//
// Intuition: one document for programs and for people. The agent serves it, `agent/table` draws it, scripts
// pick from it; whoever can read it needs no second conversation with the agent.
//
// Invariants:
//  - every key of the contract is there in every document, null where nothing is known; keys are only ever
//  added;
//  - the bytes are valid UTF-8 whatever a server wrote into an error text;
//  - equal snapshots give equal bytes (keys stand in the order of the contract).
namespace ringagent {

inline constexpr int kStatusFormat = 1;

// `age_ms`: how long ago the agent's loop made this snapshot. A large one means that the loop hangs.
std::string status_json(const Snapshot& snapshot, std::int64_t age_ms);
// The same on one line, without its end.
std::string status_line(const Snapshot& snapshot, std::int64_t age_ms);

// `ringagent plan`: {"plan": [...], "why": null | "..."}; the statements that the agent would issue now, or
// why none.
std::string plan_json(const Snapshot& snapshot);

// The ring alone, for [hooks] state_file: {"cluster", "node", "generation", "epoch", "ring", "nodes": [{name, role, in,
// address}]}. It changes with each epoch and with nothing else.
std::string ring_json(const Snapshot& snapshot);

// The exit code of `ringagent status`: ok 0, degraded 1, anything else 2.
int exit_code_of_health(std::string_view health);

}  // namespace ringagent
