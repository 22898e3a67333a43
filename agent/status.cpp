#include "agent/status.h"

#include <nlohmann/json.hpp>

#include "agent/advice.h"

namespace ringagent {
namespace {

using Json = nlohmann::ordered_json;

Json text_or_null(const std::string& text) {
  return text.empty() ? Json(nullptr) : Json(text);
}

template <class T>
Json value_or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

std::string bytes(const Json& json) {
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

Json problem(const ProblemView& view) {
  const Advice help = advice(view.code);
  return {{"severity", view.severity}, {"code", view.code},   {"node", text_or_null(view.node)},
          {"text", view.text},         {"means", help.means}, {"do", help.todo}};
}

Json upstream(const UpstreamView& view) {
  return {{"node", view.node},
          {"io", view.io},
          {"sql", view.sql},
          {"lag_ms", value_or_null(view.lag_ms)},
          {"errno", view.error_number},
          {"error", text_or_null(view.error)},
          {"desired", view.desired}};
}

Json node(const NodeView& view) {
  Json upstreams = Json::array();
  for (const auto& u : view.upstreams) upstreams.push_back(upstream(u));
  return {{"name", view.name},
          {"id", view.id},
          {"role", view.role},
          {"in", view.in},
          {"vote", view.vote},
          {"reason", text_or_null(view.reason)},
          {"agent", view.agent},
          {"agent_version", text_or_null(view.agent_version)},
          {"gossip_address", text_or_null(view.gossip_address)},
          {"mysql", view.mysql},
          {"mysql_why", text_or_null(view.mysql_why)},
          {"mysql_version", text_or_null(view.mysql_version)},
          {"server_id", view.server_id},
          {"address", view.address},
          {"read_only", value_or_null(view.read_only)},
          {"upstreams", upstreams},
          {"position", {{"mode", text_or_null(view.position_mode)}, {"value", text_or_null(view.position)}}},
          {"stranded", view.stranded},
          {"stranded_set", text_or_null(view.stranded_set)},
          {"replay", view.replay},
          {"rejoin_in_ms", value_or_null(view.rejoin_in_ms)},
          {"phase", text_or_null(view.phase)},
          {"blocked", text_or_null(view.blocked)},
          {"foreign", text_or_null(view.foreign)},
          {"keys", view.keys}};
}

Json status(const Snapshot& s, std::int64_t age_ms) {
  Json problems = Json::array();
  for (const auto& p : s.problems) problems.push_back(problem(p));
  Json nodes = Json::array();
  for (const auto& n : s.nodes) {
    nodes.push_back(node(n));
    nodes.back()["writer"] = s.one_writer ? Json(n.name == s.writer) : Json(nullptr);  // null: all write
  }
  return {
      {"format", kStatusFormat},
      {"cluster", s.cluster},
      {"node", s.node},
      {"version", s.version},
      {"generation", s.generation},
      {"epoch", s.epoch},
      {"head", text_or_null(s.head_hash)},
      {"confirmed", s.confirmed},
      {"age_ms", age_ms},
      {"health", s.health},
      {"problems", problems},
      {"quorum",
       {{"voters", s.voters}, {"needed", s.quorum_needed}, {"reachable", s.quorum_reachable}, {"held", s.quorum_held}}},
      {"paused", s.paused},
      {"paused_why", text_or_null(s.paused_why)},
      {"ring", s.ring},
      {"writers", s.one_writer ? "one" : "all"},
      {"writer", text_or_null(s.writer)},
      {"nodes", nodes}};
}

}  // namespace

std::string status_json(const Snapshot& s, std::int64_t age_ms) {
  return bytes(status(s, age_ms));
}

std::string status_line(const Snapshot& s, std::int64_t age_ms) {
  return status(s, age_ms).dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string plan_json(const Snapshot& s) {
  return bytes({{"format", kStatusFormat},
                {"node", s.node},
                {"generation", s.generation},
                {"epoch", s.epoch},
                {"plan", s.plan},
                {"why", text_or_null(s.plan_why)}});
}

std::string ring_json(const Snapshot& s) {
  Json nodes = Json::array();
  for (const auto& n : s.nodes) {
    nodes.push_back({{"name", n.name}, {"role", n.role}, {"in", n.in}, {"address", n.address}});
  }
  return bytes({{"format", kStatusFormat},
                {"cluster", s.cluster},
                {"node", s.node},
                {"generation", s.generation},
                {"epoch", s.epoch},
                {"ring", s.ring},
                {"nodes", nodes}});
}

int exit_code_of_health(std::string_view health) {
  if (health == "ok") return 0;
  return health == "degraded" ? 1 : 2;
}

}  // namespace ringagent
