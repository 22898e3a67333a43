#pragma once

#include <string>

#include "config/settings.h"

// `ringagent run`: the libuv shell around the node machine.
//
// Intuition: the machine in agent/node decides everything and touches nothing; this shell touches everything
// and decides nothing. One loop owns all state. Threads that must wait for somebody else (three for servers,
// a few for HTTP) only hand their results to the loop.
//
// What happens, in order:
//  - start: open the store, count `boot` up and make that durable, bind gossip and API; only then the first step;
//  - each event becomes one `step`, and its effects are carried out in the order that agent/node.h demands: made
//    durable, sent, asked of servers, written down. An error of the store aborts: what was answered upon might
//    be forgotten;
//  - a loop that ran later than kLagLimit after it should have says so to the machine before anything else;
//  - a snapshot for the API is made at most every 100 ms when something happened, else every 500 ms;
//  - SIGHUP reads the config again: what can change, changes; what needs a restart is named in the log. A bad
//    config is named and the old one stays;
//  - SIGTERM and SIGINT: the others are told, and the process ends with 0. MySQL stays exactly as it is. More of
//    them while it starts or ends change nothing.
//
// Exit codes: 0 after a signal; 1 if it could not start, with one line why.
namespace ringagent {

int run_daemon(const Settings& settings, const std::string& config_path);

}  // namespace ringagent
