#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tests/sim/story.h"

// A seed is a story that nobody wrote: `draw` makes it, run_story plays it.
//
// Intuition: people imagine faults one at a time; rings break when three things that nobody would put together happen
// within a second. So each seed draws first what it is allowed to do (swarm testing: a seed that never partitions sees
// other bugs than one that does everything), then when and to whom. It has two phases. In the first everything breaks and
// only safety is asked for, at every step (checker.h). Then the faults end, some hosts perhaps frozen as they are as long
// as a majority lives, and the ring must become whole within a bound (L1), hold every acknowledged transaction exactly
// once (C8), and then do nothing more (L2).
//
// The same number gives the same story, and the same story the same run. Shrinking takes lines out of the story as long
// as it fails with the same complaint.
namespace ringagent::sim {

struct SeedStory {
  std::vector<std::string> stage;  // settings and the opening
  std::vector<std::string> acts;   // faults, in order of time
  std::vector<std::string> ending;
  std::string text() const;
};

// `one_writer`: [ring] writers = "one"; drawn by the seed where it is not given.
SeedStory draw(std::uint64_t seed, std::optional<bool> one_writer = std::nullopt);
// Noise alone for `hours` of simulated time: no epoch may come of it (F1).
SeedStory draw_noise(std::uint64_t seed, double hours);

// What the failure of a story complains of, without times and numbers: "C4", "L1 ...".
std::string complaint(const StoryResult& result);

// The shortest story found that fails with the same complaint. Bounded by `tries` runs.
SeedStory shrink(SeedStory story, const std::string& wanted, std::size_t tries);

}  // namespace ringagent::sim
