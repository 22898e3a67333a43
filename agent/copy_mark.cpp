#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#include "agent/copy_parts.h"
#include "agent/json_read.h"

// The mark of a copy that was begun here: see agent/copy.h.
namespace ringagent {
namespace {

using json_read::Json;

bool in_schema(const CopyTarget& local) {
  return local.version.flavor == Flavor::mariadb;
}

std::string mark_file(const std::string& state_dir) {
  return state_dir + "/copy.json";
}

std::string events_file(const std::string& state_dir) {
  return state_dir + "/copy_events.json";
}

Json read_json(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return Json::parse(text.str(), nullptr, false);
}

Result<void> remove_file(const std::string& path) {
  if (::unlink(path.c_str()) == 0 || errno == ENOENT) return {};
  return fail("cannot remove " + path + ": " + std::strerror(errno));
}

// Null if there is none, or if it tells of another server's data.
Json read_file(const CopyTarget& local, const std::string& state_dir) {
  Json json = read_json(mark_file(state_dir));
  if (!json.is_object() || json_read::str(json, "server") != local.server_uuid) return nullptr;
  return json;
}

Result<void> write_file(const std::string& path, const std::string& text) {
  const std::string fresh = path + ".new";
  const int fd = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return fail("cannot write " + fresh + ": " + std::strerror(errno));
  const bool written = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && ::fsync(fd) == 0;
  const std::string why = std::strerror(errno);
  ::close(fd);
  if (!written) return fail("cannot write " + fresh + ": " + why);
  if (::rename(fresh.c_str(), path.c_str()) != 0) return fail("cannot write " + path + ": " + std::strerror(errno));
  return {};
}

Result<std::int64_t> server_clock(CopyTarget& local) {
  const auto rows = copying::question(local.client, "SELECT UNIX_TIMESTAMP() AS now", "the server");
  if (!rows) return tl::unexpected(rows.error());
  return std::strtoll(rows->text(0, {"now"}).c_str(), nullptr, 10);
}

}  // namespace

Result<CopyState> copy_state(CopyTarget& local, const std::string& state_dir) {
  if (!in_schema(local)) {
    const Json json = read_file(local, state_dir);
    if (!json.is_object()) return CopyState::none;
    return json_read::flag(json, "complete") ? CopyState::complete : CopyState::begun;
  }
  const auto there = copying::question(
      local.client, "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = " + quote(kCopySchema),
      "the server");
  if (!there) return tl::unexpected(there.error());
  if (there->rows.empty()) return CopyState::none;
  const auto rows = local.client.query(mark_query(), copying::kQuick);
  constexpr unsigned kNoTable = 1146;  // it was being written
  if (!rows && rows.error().number != kNoTable) return fail("the mark of a copy cannot be read: " + rows.error().text);
  const bool complete = rows && rows->text(0, {"complete"}) == "1";
  return complete ? CopyState::complete : CopyState::begun;
}

Result<void> clear_mark_of(CopyTarget& local, const std::string& state_dir) {
  auto cleared = in_schema(local) ? copying::run_all(local.client, {clear_mark()}, copying::kQuick)
                                  : remove_file(mark_file(state_dir));
  return cleared ? remove_file(events_file(state_dir)) : cleared;
}

namespace copying {

Result<void> keep_events(CopyTarget& local, const std::string& state_dir) {
  const auto rows = question(local.client, events_query(), "the server");
  if (!rows) return tl::unexpected(rows.error());
  Json json = Json::array();
  for (const auto& [event, awake] : read_events(*rows))
    json.push_back({{"schema", event.first}, {"name", event.second}, {"awake", awake}});
  return write_file(events_file(state_dir), json.dump() + "\n");
}

EventsBefore kept_events(const std::string& state_dir) {
  EventsBefore out;
  const Json json = read_json(events_file(state_dir));
  for (const auto& event : json.is_array() ? json : Json::array()) {
    if (event.is_object())
      out[{json_read::str(event, "schema"), json_read::str(event, "name")}] = json_read::flag(event, "awake");
  }
  return out;
}

Result<void> write_mark(CopyTarget& local, const CopyJob& job, CopyMethod method, CopyState state) {
  const bool complete = state == CopyState::complete;
  if (in_schema(local)) {
    return run_all(local.client, complete ? std::vector{complete_mark()} : begin_mark(job.donor_name), kQuick);
  }
  const auto begun = server_clock(local);
  if (!begun) return tl::unexpected(begun.error());
  const Json json = {{"server", local.server_uuid},
                     {"donor", job.donor_name},
                     {"method", to_string(method)},
                     {"complete", complete},
                     {"begun", *begun}};
  return write_file(mark_file(job.state_dir), json.dump() + "\n");
}

std::int64_t clone_begun(const CopyTarget& local, const std::string& state_dir) {
  const Json json = read_file(local, state_dir);
  if (!json.is_object() || json_read::str(json, "method") != to_string(CopyMethod::clone)) return 0;
  return json_read::number(json, "begun").value_or(0);
}

}  // namespace copying
}  // namespace ringagent
