#pragma once

#include <string>
#include <vector>

#include "tests/sim/world.h"

// What happens to a ring, said in lines that a person can read: "kill mysqld db2", "cut network db1 db2 | db3 db4".
// Stories are written in this language by hand (story.h lists it), seeds draw their faults in it (seeds.h): so every seed
// that fails is a story, too.
namespace ringagent::sim {

using Words = std::vector<std::string>;

// A line that cannot be played, or an expectation that did not come true.
struct Failure {
  std::string text;
};

Words split(const std::string& line);
std::string join(const Words& words, std::size_t from = 0);
Duration duration(const std::string& text);
std::string clock(Time t);

// Carries out one line. Throws Failure where it makes no sense, std::out_of_range where it is not complete.
void direct(World& world, const Words& words);

// The name at a place of the line; throws Failure if there is no such host.
const std::string& host_at(const World& world, const Words& words, std::size_t at);

}  // namespace ringagent::sim
