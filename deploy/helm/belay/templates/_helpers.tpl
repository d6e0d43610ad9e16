{{- define "belay.name" -}}
{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- define "belay.labels" -}}
{{ include "belay.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "belay.selector" -}}
app.kubernetes.io/name: belay
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "belay.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "belay.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
{{- /* So that files of secrets, which belong to root, are readable and nobody's to write. */}}
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "belay.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- /* The database's URL is a file: variables show in more places. */}}
{{- define "belay.databaseArguments" -}}
- --database-url-file=/etc/belay/database/url
{{- if .Values.database.caConfigMap }}
- --database-tls-ca=/etc/belay/database-ca/ca.pem
{{- end }}
{{- end }}

{{- define "belay.databaseMounts" -}}
- {name: database, mountPath: /etc/belay/database, readOnly: true}
{{- if .Values.database.caConfigMap }}
- {name: database-ca, mountPath: /etc/belay/database-ca, readOnly: true}
{{- end }}
{{- end }}

{{- define "belay.databaseVolumes" -}}
- name: database
  secret:
    secretName: {{ .root.Values.database.existingSecret }}
    defaultMode: 0440
    items: [{key: {{ .key | quote }}, path: url}]
{{- if .root.Values.database.caConfigMap }}
- name: database-ca
  configMap:
    name: {{ .root.Values.database.caConfigMap }}
    items: [{key: {{ .root.Values.database.caKey | quote }}, path: ca.pem}]
{{- end }}
{{- end }}
