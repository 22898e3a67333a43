#pragma once

#include <string>
#include <string_view>
#include <vector>

// By which names this agent may be asked over TCP.
//
// Intuition: a web page of somebody else can make the name of its own site point to this machine (DNS rebinding); then a
// browser that may reach this port lets that page read what is answered. But the browser says in the Host header which
// name it was, and a name that its owner cannot have chosen is no such site: an address, localhost, or a name that this
// machine goes by. Pure.
namespace ringagent {

// `host`: what the header says, with or without a port. Accepted are IP addresses, "localhost", "ringagent" (for checks that
// must name something), each of `names`, whatever the case of their letters, with or without the dot of the root; and
// an empty one, which no browser sends.
bool host_accepted(std::string_view host, const std::vector<std::string>& names);

}  // namespace ringagent
