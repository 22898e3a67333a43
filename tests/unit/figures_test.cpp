#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "tests/sim/world.h"

using namespace ringagent;
using namespace ringagent::sim;

// How soon the ring is decided anew, in virtual time, with the delays of a LAN (world.h: packets 0.2 to 0.6 ms, disk 0.3 ms).
namespace {

constexpr std::uint64_t kRuns = 100;

std::unique_ptr<World> formed(std::uint64_t seed, std::size_t nodes) {
  WorldOptions options;
  for (std::size_t i = 1; i <= nodes; ++i) options.names.push_back("db" + std::to_string(i));
  options.seed = seed;
  options.flavor = seed % 2 == 0 ? Flavor::mariadb : Flavor::mysql;
  options.settings.cluster = "shop";
  options.settings.replication_user = "repl";
  auto owner = std::make_unique<World>(options);
  World& world = *owner;
  for (const std::string& name : options.names) world.server(name).start(50ms);
  world.run_until(world.now() + 100ms);
  for (const std::string& name : options.names) world.start_agent(name);
  REQUIRE(world.run_until([&] { return world.wrong_with_ring().empty(); }, 30s));
  world.run_until(world.now() + 6s + Duration(static_cast<std::int64_t>(seed * 37'013 % 1'000'000)));
  return owner;
}

// The epochs that anybody has adopted since a moment.
std::vector<const Seen*> epochs_since(const World& world, Time since) {
  std::vector<const Seen*> out;
  for (const Seen& seen : world.trace()) {
    if (seen.kind == Seen::Kind::epoch && seen.at >= since && seen.config->evidence_class != "votes")
      out.push_back(&seen);
  }
  return out;
}

struct Figures {
  std::vector<Duration> all;
  void add(Duration one) { all.push_back(one); }
  Duration at(std::size_t percent) {
    std::sort(all.begin(), all.end());
    return all[std::min(all.size() - 1, all.size() * percent / 100)];
  }
  std::string text() {
    const auto ms = [](Duration d) { return std::to_string(static_cast<double>(d.count()) / 1000) + " ms"; };
    return "min " + ms(at(0)) + ", median " + ms(at(50)) + ", p99 " + ms(at(99)) + " of " + std::to_string(all.size());
  }
};

}  // namespace

TEST_CASE("figures: a dead mysqld is decided out within 20 ms, a silent host within silence + 300 ms") {
  const auto measured = [](void (*strike)(World&, const std::string&), Duration patience) {
    Figures figures;
    for (std::uint64_t seed = 1; seed <= kRuns; ++seed) {
      const auto owner = formed(seed, 4);
      World& world = *owner;
      const Time killed = world.now();
      strike(world, "db" + std::to_string(1 + seed % 4));
      world.run_until(killed + patience);
      REQUIRE(!epochs_since(world, killed).empty());
      figures.add(epochs_since(world, killed).front()->at - killed);
    }
    return figures;
  };
  Figures down = measured([](World& world, const std::string& name) { world.kill_server(name); }, 1s);
  Figures silent = measured([](World& world, const std::string& name) { world.kill_host(name); }, 5s);
  MESSAGE("mysqld_down: " << down.text());
  MESSAGE("silent: " << silent.text());
  CHECK(down.at(50) <= 20ms);
  CHECK(silent.at(99) <= 2800ms);
}

// Hosts that die together are believed dead at different times, for each was last heard of at another: up to a probe period apart.
TEST_CASE("figures: deaths within 5 ms are one epoch, be it mysqlds or hosts") {
  for (std::uint64_t seed = 1; seed <= kRuns / 2; ++seed) {
    CAPTURE(seed);
    const auto owner = formed(seed, 6);
    World& world = *owner;
    const Time killed = world.now();
    for (std::uint64_t k = 0; k < 2 + seed % 2; ++k) {
      world.kill_server("db" + std::to_string(1 + (seed + k * 2) % 6));
      world.run_until(world.now() + 2ms);
    }
    world.run_until(killed + 3s);
    CHECK(epochs_since(world, killed).size() == 1);
  }
  for (std::uint64_t seed = 1; seed <= kRuns / 2; ++seed) {
    CAPTURE(seed);
    const auto owner = formed(seed, 6);
    World& world = *owner;
    const Time killed = world.now();
    for (std::uint64_t k = 0; k < 2; ++k) {
      world.kill_host("db" + std::to_string(1 + (seed + k * 2) % 6));
      world.run_until(world.now() + Duration(static_cast<std::int64_t>(seed * 71'933 % 5'000)));
    }
    world.run_until(killed + 6s);
    CHECK(epochs_since(world, killed).size() == 1);
  }
}
