"""What people are told: a real Prometheus and Alertmanager with what is shipped, and a webhook for the notices."""
