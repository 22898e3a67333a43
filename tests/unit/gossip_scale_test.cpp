#include "tests/unit/gossip_scale.h"

#include <doctest/doctest.h>

using namespace ringagent;

namespace {

constexpr std::size_t kLarge = 200, kVeryLarge = 1000;

Scale measured(std::size_t n, bool records, bool busy) {
  ScaleNet net(n, records);
  REQUIRE(net.settle());
  net.set_busy(busy);
  return net.measure(5s);
}

}  // namespace

TEST_CASE("gossip: five members at rest send less than 270 bytes a second each, and know of news and of a death soon") {
  const Scale rest = measured(5, true, false);
  CHECK(rest.packets <= 6.5);
  CHECK(rest.bytes <= 270);
  CHECK(rest.fact <= 5ms);
  CHECK(rest.death <= 3s);
  const Scale busy = measured(5, true, true);
  CHECK(busy.bytes <= 4096);
  CHECK(busy.fact <= 5ms);
  CHECK(busy.death <= 3s);
}

TEST_CASE("figures: a thousand members cost each no more than twice what fifty do, and news is everywhere in 3 s") {
  const Scale few = measured(50, false, false), many = measured(kVeryLarge, false, false);
  CHECK(many.bytes <= 2 * few.bytes);
  CHECK(many.fact <= 3s);
  CHECK(many.death <= 5s);
}

TEST_CASE("figures: where all write all the time, two hundred members cost each no more than twice what fifty do") {
  const Scale few = measured(50, true, true), many = measured(kLarge, true, true);
  CHECK(many.bytes <= 2 * few.bytes);
  CHECK(many.fact <= 3s);
  CHECK(many.death <= 5s);
}
