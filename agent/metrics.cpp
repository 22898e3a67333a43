#include "agent/metrics.h"

#include <fmt/format.h>

#include <utility>
#include <vector>

namespace ringagent {
namespace {

using Labels = std::vector<std::pair<const char*, std::string>>;

std::string escaped(const std::string& value) {
  std::string out;
  for (const char c : value) {
    if (c == '\n') {
      out += "\\n";
      continue;
    }
    if (c == '\\' || c == '"') out += '\\';
    out += c;
  }
  return out;
}

// One family after another, each opened once.
class Page {
 public:
  void gauge(const char* name, const char* help) { open(name, help, "gauge"); }

  void counter(const char* name, const char* help, std::uint64_t value) {
    open(name, help, "counter");
    text_ += fmt::format("{} {}\n", name_, value);
  }

  void sample(const Labels& labels, double value) {
    text_ += name_;
    const char* before = "{";
    for (const auto& [key, label] : labels) {
      text_ += fmt::format("{}{}=\"{}\"", before, key, escaped(label));
      before = ",";
    }
    text_ += fmt::format("{} {}\n", labels.empty() ? "" : "}", value);
  }

  void single(const char* name, const char* help, double value) {
    gauge(name, help);
    sample({}, value);
  }

  std::string take() { return std::move(text_); }

 private:
  void open(const char* name, const char* help, const char* type) {
    name_ = name;
    text_ += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
  }

  std::string text_;
  std::string name_;
};

double truth(bool value) {
  return value ? 1 : 0;
}

void about_the_ring(Page& page, const Snapshot& s, double age_s) {
  page.gauge("ringagent_info", "Always 1; who answers here.");
  page.sample({{"cluster", s.cluster}, {"node", s.node}, {"version", s.version}}, 1);
  page.gauge("ringagent_health", "1 for the state that the ring is in, 0 for the others.");
  for (const char* state : {"ok", "degraded", "critical"}) page.sample({{"state", state}}, truth(s.health == state));
  page.single("ringagent_snapshot_age_seconds", "Time since the agent's loop last reported.", age_s);
  page.single("ringagent_generation", "Generation of the ring config: how often a quorum was forced.", s.generation);
  page.single("ringagent_epoch", "Epoch of the ring config that this node holds; 0 before there is a ring.",
              static_cast<double>(s.epoch));
  page.single("ringagent_confirmed",
              "1 if a majority confirmed the config since the last start, lag or loss of quorum.", truth(s.confirmed));
  page.single("ringagent_paused", "1 while automatic changes are paused.", truth(s.paused));
  page.single("ringagent_quorum_held", "1 while a majority of the voters can be reached.", truth(s.quorum_held));
  page.single("ringagent_quorum_needed", "Voters that make a majority.", static_cast<double>(s.quorum_needed));
  page.single("ringagent_quorum_reachable", "Voters that can be reached, this node included.",
              static_cast<double>(s.quorum_reachable));
  page.single("ringagent_ring_nodes", "Nodes in the ring now.", static_cast<double>(s.ring.size()));
  page.single("ringagent_one_writer", "1 if the ring has one writer ([ring] writers).", truth(s.one_writer));
  page.gauge("ringagent_node_is_writer", "With one writer: 1 for the member that it is.");
  for (const auto& node : s.nodes) {
    if (s.one_writer) page.sample({{"member", node.name}}, truth(node.name == s.writer));
  }
  page.gauge("ringagent_problems", "Problems by severity; their words are in /status.");
  for (const char* severity : {"warning", "critical"}) {
    double count = 0;
    for (const auto& p : s.problems) count += truth(p.severity == severity);
    page.sample({{"severity", severity}}, count);
  }
}

void about_the_nodes(Page& page, const Snapshot& s) {
  const auto each = [&](const char* name, const char* help, auto value) {
    page.gauge(name, help);
    for (const auto& node : s.nodes) page.sample({{"member", node.name}}, value(node));
  };
  page.gauge("ringagent_node_in_ring", "1 if the node is in the ring; of those nodes whose place that is.");
  for (const auto& node : s.nodes) {
    if (node.role == "ring") page.sample({{"member", node.name}}, truth(node.in));
  }
  each("ringagent_node_agent_alive", "1 if the node's agent answers (0: suspect, dead or left).",
       [](const NodeView& n) { return truth(n.agent == "alive"); });
  each("ringagent_node_mysql_up", "1 if the node's MySQL is up (0: down, hung, denied or unknown).",
       [](const NodeView& n) { return truth(n.mysql == "up"); });
  each("ringagent_node_stranded_transactions",
       "Own transactions of the node that no other member has, as far as is known.",
       [](const NodeView& n) { return static_cast<double>(n.stranded); });
  page.gauge("ringagent_node_read_only", "1 if the node's MySQL is read-only.");
  for (const auto& node : s.nodes) {
    if (node.read_only) page.sample({{"member", node.name}}, truth(*node.read_only));
  }
}

// A node has at most one link from one source: two channels from it are one line, the desired one if there is
// one.
std::vector<std::pair<Labels, const UpstreamView*>> links(const Snapshot& s) {
  std::vector<std::pair<Labels, const UpstreamView*>> out;
  for (const auto& node : s.nodes) {
    const std::size_t first = out.size();
    for (const auto& upstream : node.upstreams) {
      bool known = false;
      for (std::size_t i = first; i < out.size(); ++i) {
        if (out[i].second->node != upstream.node) continue;
        known = true;
        if (upstream.desired) out[i].second = &upstream;
      }
      if (!known) out.push_back({{{"member", node.name}, {"source", upstream.node}}, &upstream});
    }
  }
  return out;
}

void about_the_links(Page& page, const Snapshot& s) {
  const auto all = links(s);
  page.gauge("ringagent_link_up", "1 if both threads of the replication link run.");
  for (const auto& [labels, link] : all) page.sample(labels, truth(link->io == "running" && link->sql == "running"));
  page.gauge("ringagent_link_desired", "1 if the link is the one that the ring config asks for.");
  for (const auto& [labels, link] : all) page.sample(labels, truth(link->desired));
  page.gauge("ringagent_link_lag_seconds", "How far the node is behind its source; absent while nobody can tell.");
  for (const auto& [labels, link] : all) {
    if (link->lag_ms) page.sample(labels, static_cast<double>(*link->lag_ms) / 1000.0);
  }
}

void about_this_agent(Page& page, const Snapshot& s) {
  page.single("ringagent_writable", "1 if an application may write to this node's MySQL.", truth(s.self_writable));
  page.counter("ringagent_epochs_total", "Epochs that this agent saw decided since its start.", s.epochs_seen);
  page.counter("ringagent_repoints_total", "Repoints of its own MySQL that this agent finished since its start.",
               s.repoints_done);
  page.counter("ringagent_packets_sent_total", "Gossip packets sent.", s.packets_sent);
  page.counter("ringagent_packets_received_total", "Gossip packets received and accepted.", s.packets_received);
  page.counter("ringagent_packets_refused_total", "Gossip packets that were forged, foreign, replayed or malformed.",
               s.packets_refused);
  page.counter("ringagent_sent_bytes_total", "Bytes of gossip sent.", s.bytes_sent);
  page.counter("ringagent_received_bytes_total", "Bytes of gossip received.", s.bytes_received);
}

}  // namespace

std::string metrics_text(const Snapshot& snapshot, double age_s) {
  Page page;
  about_the_ring(page, snapshot, age_s);
  about_the_nodes(page, snapshot);
  about_the_links(page, snapshot);
  about_this_agent(page, snapshot);
  return page.take();
}

}  // namespace ringagent
