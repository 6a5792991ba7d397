Redoc.init('/openapi.yaml', {
  requiredPropsFirst: true,
  expandResponses: '200',
  hideHostname: true,
  jsonSampleExpandLevel: 'all',
  theme: { typography: { fontFamily: 'system-ui, sans-serif', headings: { fontFamily: 'system-ui, sans-serif' } } },
}, document.getElementById('api'))
