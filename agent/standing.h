#pragma once

#include <string>
#include <vector>

#include "agent/policy.h"

// How a member stands, by one agent's view: does it live, is it well, may it come back, may it be gone around?
//
// Each is asked by whoever wishes for an epoch (policy.h), by whoever judges such a wish, and by commands that explain why
// nothing happens. Pure.
namespace ringagent {

// Its name, or its id where it is no member.
std::string name_of(const Config& config, const NodeId& id);

// Its agent has answered lately, or has not been asked since.
bool lives(const View& view, const NodeId& node);

// Its server is up and its agent answers.
bool runs(const View& view, const NodeId& node);

// ... and nothing is known that speaks against it, but its start may not be checked yet.
bool well(const View& view, const NodeId& node);

// ... and its start is checked: it may be spliced in or serve as the last one.
bool usable(const View& view, const NodeId& node);

// Members whose agent answers, as far as `view` knows: the ones that may vote.
std::vector<NodeId> healthy_agents(const View& view);

// Who is alive and only stuck goes out alone, and not if half the ring is out already, nor if what others wrote stands on it alone.
bool may_bypass(const View& view, const NodeId& node);

// Own transactions of `node` that no other member is known to have.
std::int64_t stranded_count(const View& view, const NodeId& node);

// What `node` alone has and has purged from its binary log, in words, or "": only a person can save that, and then reseed it.
std::string gone_for_good(const View& view, const NodeId& node);

// Why what is stranded on a member waits for a person who has not decided yet that it goes out (Member.replay), or "".
std::string waits_for_a_person(const View& view, const NodeId& node);

// Why a member that is out and ready is not taken back, or "": that, or its successor could not be told to follow it, and what it
// writes would reach nobody, or whoever would follow it lacks what it can no longer give, or it lacks what it once wrote itself.
std::string held_back(const View& view, const NodeId& node);

// The settling time of a member that went out `flaps` times: doubles with every flap after the first, 10 minutes at most.
Duration settle_time(Duration settle, std::uint32_t flaps);

// Why an agent that presents the name of `member` under a new id must not take its place, or "": then it is that member with
// its state directory lost.
std::string impostor(const View& view, const NodeId& member, const Hello& applicant);

}  // namespace ringagent
