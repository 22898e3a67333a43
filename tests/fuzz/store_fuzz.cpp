#include <filesystem>
#include <fstream>
#include <limits>

#include "config/ring.h"
#include "fuzz.h"
#include "gossip/big_endian.h"
#include "gossip/codec.h"
#include "gossip/store.h"
#include "tests/unit/temp_dir.h"

// A slot that holds anything at all, alone or beside a good one. An input begins with a digit, a sum of: 1, what follows
// gets a valid header; 2, there is a good slot beside it; 4, what follows is taken as it is, and not as the damage to
// something valid. Each start syncs: tests/fuzz/run puts the directory into memory.
using namespace ringagent;
using fuzz::demand;

namespace {

std::string slot(std::string_view payload, std::uint64_t seq) {
  std::string bytes = "RINGAGNT";
  append_number(bytes, 1, 4);
  append_number(bytes, 0, 4);
  append_number(bytes, seq, 8);
  append_number(bytes, payload.size(), 8);
  bytes.append(payload);
  const Hash checksum = hash_bytes(bytes);
  return std::string(checksum.begin(), checksum.end()) + bytes;
}

void put(const std::string& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

DurableState good_state() {
  DurableState state;
  state.self.bytes.fill(7);
  state.seq = 5;
  state.chain = {canonical_bytes(Config{})};
  return state;
}

const std::string& directory() {
  static const TempDir made;
  static const std::string name = made.str();
  return name;
}

// What was found can be gone on with: the next state is there after the next start.
void demand_restart(DurableState state) {
  if (state.seq == std::numeric_limits<std::uint64_t>::max()) return;
  {
    auto opened = Store::open(directory(), NodeId{}, nullptr);
    demand(opened.has_value() && opened->state == state, "both slots were made whole");
    ++state.seq;
    opened->store.persist(state);
  }
  const auto opened = Store::open(directory(), NodeId{}, nullptr);
  demand(opened.has_value() && opened->state == state, "what was persisted is there after a start");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const std::uint8_t mode = input.byte();
  const bool checksummed = (mode & 1U) != 0;
  const bool mirrored = (mode & 2U) != 0;
  const bool raw = (mode & 4U) != 0;
  const DurableState good = good_state();
  const std::string good_slot = slot(encode(good), good.seq);

  const std::string first = directory() + "/state.0";
  const std::string second = directory() + "/state.1";
  std::filesystem::remove(second);
  if (mirrored) put(second, good_slot);
  const std::string content =
      raw ? std::string(input.rest()) : fuzz::damaged(checksummed ? encode(good) : good_slot, input);
  const auto decoded = decode_state(content);
  put(first, checksummed ? slot(content, decoded ? decoded->seq : 0) : content);

  DurableState state;
  {
    const auto opened = Store::open(directory(), NodeId{}, nullptr);
    if (!opened) {
      fuzz::demand_reason(opened.error());
      demand(!mirrored || checksummed, "a torn slot beside a good one is no error");
      return 0;
    }
    state = opened->state;
  }
  demand(state == good || (checksummed && decoded && state == *decoded), "a node starts with what a slot held");
  demand(!mirrored || state.seq >= good.seq, "the higher sequence wins");
  demand(state.chain.empty() || !of_newer_version(state.chain.back()),
         "nobody goes on with a config that he cannot read");
  demand_restart(state);
  return 0;
}
