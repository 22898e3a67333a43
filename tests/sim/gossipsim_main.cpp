#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "tests/unit/gossip_scale.h"

// gossipsim [N...]: what gossip costs each of N members, and how fast it is, in virtual time. The machines of gossip/
// are the real ones, packets are as long as when encoded and sealed, the network takes 0.2 to 0.6 ms and loses nothing.
// A thousand members take minutes and gigabytes.
namespace {

double seconds(ringagent::Duration span) {
  return static_cast<double>(span.count()) / 1e6;
}

void measure(std::size_t n) {
  using namespace std::chrono_literals;
  ringagent::ScaleNet net(n);
  for (const bool busy : {false, true}) {
    net.set_busy(false);
    if (!net.settle()) {
      std::fprintf(stderr, "gossipsim: %zu members have not all met\n", n);
      std::exit(1);
    }
    net.set_busy(busy);
    const ringagent::Scale scale = net.measure(busy && n > 500 ? 10s : 30s);
    std::printf("%7zu  %-9s %9.1f %10.0f %10.3f %10.3f\n", n, busy ? "all write" : "at rest", scale.packets,
                scale.bytes, seconds(scale.fact), seconds(scale.death));
    std::fflush(stdout);
  }
}

}  // namespace

int main(int count, char** words) {
  std::vector<std::size_t> sizes;
  for (int i = 1; i < count; ++i) sizes.push_back(std::strtoul(words[i], nullptr, 10));
  if (sizes.empty()) sizes = {5, 50, 200, 1000};
  std::printf("%7s  %-9s %9s %10s %10s %10s\n", "members", "state", "packets/s", "bytes/s", "fact, s", "death, s");
  for (const std::size_t n : sizes) measure(n);
}
