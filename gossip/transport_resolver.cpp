#include "gossip/transport_resolver.h"

#include <arpa/inet.h>
#include <netdb.h>

#include <algorithm>
#include <cstring>

namespace ringagent {

namespace {

constexpr std::uint64_t kFreshMs = 30'000;
constexpr std::uint64_t kFailedMs = 2'000;  // a name that was not found is asked for again after this

void set_port(SocketAddress& address, std::uint16_t port) {
  // The port stands at the same place in both families.
  reinterpret_cast<sockaddr_in*>(&address.storage)->sin_port = htons(port);
}

}  // namespace

SocketAddress SocketAddress::from(const sockaddr* address) {
  SocketAddress out;
  std::memcpy(&out.storage, address, address->sa_family == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in));
  return out;
}

bool SocketAddress::parse(const Address& address, SocketAddress& out) {
  return uv_ip4_addr(address.host.c_str(), address.port, reinterpret_cast<sockaddr_in*>(&out.storage)) == 0 ||
         uv_ip6_addr(address.host.c_str(), address.port, reinterpret_cast<sockaddr_in6*>(&out.storage)) == 0;
}

Address SocketAddress::address() const {
  char host[INET6_ADDRSTRLEN] = "";
  if (family() == AF_INET) {
    const auto* in = reinterpret_cast<const sockaddr_in*>(&storage);
    inet_ntop(AF_INET, &in->sin_addr, host, sizeof host);
    return {host, ntohs(in->sin_port)};
  }
  const auto* in = reinterpret_cast<const sockaddr_in6*>(&storage);
  if (IN6_IS_ADDR_V4MAPPED(&in->sin6_addr)) {
    inet_ntop(AF_INET, &in->sin6_addr.s6_addr[12], host, sizeof host);
  } else {
    inet_ntop(AF_INET6, &in->sin6_addr, host, sizeof host);
  }
  return {host, ntohs(in->sin6_port)};
}

struct Resolver::Lookup {
  uv_getaddrinfo_t request;
  Resolver* owner;
  std::string name;
};

Resolver::~Resolver() {
  for (Lookup* lookup : running_) {
    lookup->owner = nullptr;  // frees itself when the pool is done with it
    uv_cancel(reinterpret_cast<uv_req_t*>(&lookup->request));
  }
}

// Makes the address fit the socket's family, or says that it cannot.
bool Resolver::suits(SocketAddress& address) const {
  if (family_ == AF_UNSPEC || address.family() == family_) return true;
  if (family_ == AF_INET) return false;
  const sockaddr_in four = *reinterpret_cast<const sockaddr_in*>(&address.storage);
  address.storage = {};
  auto* six = reinterpret_cast<sockaddr_in6*>(&address.storage);
  six->sin6_family = AF_INET6;
  six->sin6_port = four.sin_port;
  six->sin6_addr.s6_addr[10] = six->sin6_addr.s6_addr[11] = 0xFF;
  std::memcpy(&six->sin6_addr.s6_addr[12], &four.sin_addr, 4);
  return true;
}

void Resolver::answer(const Host& host, const Caller& caller) {
  SocketAddress address = host.address;
  set_port(address, caller.port);
  caller.found(host.known ? &address : nullptr);
}

void Resolver::resolve(const Address& address, Found found) {
  SocketAddress literal;
  if (SocketAddress::parse(address, literal)) return found(suits(literal) ? &literal : nullptr);
  if (hosts_.count(address.host) == 0 && hosts_.size() == kHostsMax) return found(nullptr);

  Host& host = hosts_[address.host];
  const bool fresh = uv_now(loop_) < host.fresh_until_ms;
  if (!fresh && !host.looking) {
    host.looking = true;
    queue_.push_back(address.host);
  }
  Caller caller{address.port, std::move(found)};
  if (host.known || !host.looking || host.waiting.size() == kWaitingMax) {
    start_queued();
    return answer(host, caller);
  }
  host.waiting.push_back(std::move(caller));
  start_queued();
}

void Resolver::start_queued() {
  while (running_.size() < kLookupsMax && !queue_.empty()) {
    const std::string name = std::move(queue_.front());
    queue_.pop_front();
    look_up(name);
  }
}

void Resolver::look_up(const std::string& name) {
  auto* lookup = new Lookup{{}, this, name};
  lookup->request.data = lookup;
  addrinfo hints{};
  hints.ai_family = family_ == AF_INET ? AF_INET : AF_UNSPEC;
  hints.ai_socktype = SOCK_DGRAM;  // one entry an address
  running_.push_back(lookup);
  const int status = uv_getaddrinfo(
      loop_, &lookup->request,
      [](uv_getaddrinfo_t* request, int result, addrinfo* list) {
        auto* done = static_cast<Lookup*>(request->data);
        if (done->owner != nullptr) done->owner->finished(done, result, list);
        uv_freeaddrinfo(list);
        delete done;
      },
      name.c_str(), nullptr, &hints);
  if (status == 0) return;
  finished(lookup, status, nullptr);  // the name itself is impossible
  delete lookup;
}

void Resolver::finished(Lookup* lookup, int status, const addrinfo* list) {
  running_.erase(std::find(running_.begin(), running_.end(), lookup));
  Host& host = hosts_[lookup->name];
  host.looking = false;
  bool found = false;
  for (; status == 0 && list != nullptr && !found; list = list->ai_next) {
    SocketAddress address = SocketAddress::from(list->ai_addr);
    found = suits(address);
    if (found) host.address = address;
  }
  host.known = host.known || found;
  host.fresh_until_ms = uv_now(loop_) + (found ? kFreshMs : kFailedMs);
  const std::vector<Caller> waiting = std::exchange(host.waiting, {});
  for (const Caller& caller : waiting) answer(host, caller);
  start_queued();
}

}  // namespace ringagent
