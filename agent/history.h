#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "agent/snapshot.h"
#include "config/types.h"

// What happened to this agent's ring: decided epochs and actions, one JSON object a line, in
// `state_dir/history.jsonl`.
//
// Intuition: the log of the agent tells what it did, hour after hour; the history is the short book that a
// person opens after an incident: when, what, why, who proposed it, how long each step took. It is for
// people, never for decisions: losing it costs knowledge, not safety, so it is written without fdatasync and
// an error in it stops nothing.
//
// Invariants:
//  - bounded: a file that would grow beyond `bytes_max` becomes `.1` and replaces the one before, so at most
//    2 x bytes_max are on disk;
//  - `seq` counts up over restarts and rotation; a reader who remembers the last one misses nothing that is
//  still kept;
//  - append-only: a line that a crash or a full disk tore is closed with a newline, skipped by readers, never
//  repaired.
//
// Any thread may call anything here: the loop adds, the threads of the API read.
namespace ringagent {

class History {
 public:
  static constexpr std::size_t kBytesMax = 4 * 1024 * 1024;
  static constexpr std::size_t kReadMax = 10'000;   // entries in one answer
  static constexpr std::size_t kTailEntries = 200;  // the newest, kept in memory: asking for them reads no file

  // Opens or makes the file. Errors name the path.
  static Result<std::unique_ptr<History>> open(std::string path, std::size_t bytes_max = kBytesMax);
  ~History();
  History(const History&) = delete;
  History& operator=(const History&) = delete;

  // Writes one line; `at` is shown as ISO 8601 in UTC with milliseconds. After an error the entry is lost,
  // the next one is tried as if nothing had happened.
  Result<void> add(const HistoryEntry& entry, std::chrono::system_clock::time_point at);

  // The newest `count` (at most kReadMax) lines with a seq above `after`, oldest first, each a JSON object.
  std::vector<std::string> last(std::size_t count, std::uint64_t after = 0) const;
  // Of the newest entry; 0 before the first.
  std::uint64_t last_seq() const;

 private:
  struct Impl;
  explicit History(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// "2024-05-01T10:20:30.123Z"
std::string iso_time(std::chrono::system_clock::time_point at);

// One line of the history as a person reads it: a headline, and where there are steps a second line with
// them. Text that is no entry is given back as it is.
std::string history_text(const std::string& line);

}  // namespace ringagent
