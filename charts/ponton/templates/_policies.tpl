{{/* Parts of network policies. */}}

{{- define "ponton.policy.dns" -}}
- ports:
    - {protocol: UDP, port: 53}
    - {protocol: TCP, port: 53}
  to:
    - namespaceSelector:
        matchLabels: {{- toYaml .Values.networkPolicies.dnsNamespaceLabels | nindent 10 }}
    {{- range .Values.networkPolicies.dnsCidrs }}
    - ipBlock: {cidr: {{ . | quote }}}
    {{- end }}
{{- end -}}

{{/* Addresses on ports. Takes (dict "cidrs" LIST "ports" LIST); without addresses any will do. */}}
{{- define "ponton.policy.to" -}}
- ports:
    {{- range .ports }}
    - {protocol: TCP, port: {{ . }}}
    {{- end }}
  {{- with .cidrs }}
  to:
    {{- range . }}
    - ipBlock: {cidr: {{ . | quote }}}
    {{- end }}
  {{- end }}
{{- end -}}

{{/* Pods of gateways, which their operator makes, in the namespaces that are served; and the operators. */}}
{{- define "ponton.policy.ours" -}}
- namespaceSelector:
    matchExpressions:
      - {key: kubernetes.io/metadata.name, operator: In, values: {{ (include "ponton.namespaces" . | fromJson).names | toJson }}}
  podSelector:
    matchLabels: {app.kubernetes.io/managed-by: ponton}
- podSelector:
    matchLabels:
      app.kubernetes.io/instance: {{ .Release.Name }}
    matchExpressions:
      - {key: app.kubernetes.io/component, operator: In, values: [accounts, gateways, scaler]}
{{- end }}
